"use strict";
// reload.js CONTROL-SOCKET: asks the shop for a graceful reload; ends well once the new code answers customers.
const http = require("node:http");

const request = http.request({ socketPath: process.argv[2], method: "POST", path: "/reload" }, (answer) => {
  answer.pipe(answer.statusCode === 200 ? process.stdout : process.stderr);
  answer.on("end", () => {
    process.exitCode = answer.statusCode === 200 ? 0 : 1;
  });
});
request.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
request.end();
