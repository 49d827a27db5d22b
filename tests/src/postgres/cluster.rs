//! One temporary cluster: made, started, stopped, started again, thrown away.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::find::Programs;
use crate::{npm, ports, process::Running, wait};

/// How much of Postgres' durability is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production: what was committed is on the disk.
    Real,
    /// Commits do not wait for the disk: for tests, which throw the cluster away.
    Relaxed,
}

/// A user that Postgres may run as when we are root, which it refuses.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// A temporary cluster.
pub struct Server {
    programs: Programs,
    durability: Durability,
    port: u16,
    owner: Option<Owner>,
    running: Option<Running>,
    // Last, so that the folder outlives the server in it.
    home: TempDir,
}

impl Server {
    /// Makes a cluster and starts it.
    pub fn start(programs: &Programs, durability: Durability) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("plugmend-pg-").tempdir()?;
        let owner = if geteuid().is_root() {
            Some(unprivileged()?)
        } else {
            None
        };
        if let Some(owner) = owner {
            std::os::unix::fs::chown(home.path(), Some(owner.uid), Some(owner.gid))?;
        }
        let programs = reachable(programs, owner, home.path())?;
        let mut server = Self {
            programs,
            durability,
            port: ports::free()?,
            owner,
            running: None,
            home,
        };
        server.initialise()?;
        server.launch()?;
        Ok(server)
    }

    /// The administrator's URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it at once, as a crash of the machine's service would: open transactions are lost, committed ones stay.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop(Signal::QUIT, Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// Starts it again on the same port with the same data.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        let mut settings = vec!["max_connections=300", "log_min_messages=warning"];
        if self.durability == Durability::Relaxed {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = self.home.path().join("log");
        let mut running = Running::spawn("postgres", &mut command, &log)?;
        let port = self.port;
        wait::until("Postgres to accept connections", Duration::from_mins(1), || {
            running.check()?;
            Ok(ready(port).then_some(()))
        })?;
        self.running = Some(running);
        Ok(())
    }

    fn initialise(&self) -> Result<()> {
        let mut command = self.command("initdb");
        command.arg("-D").arg(self.data());
        // The cluster listens on loopback, on a random port, for as long as the test runs.
        command.args([
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        npm::run(&mut command).context("make a Postgres cluster")
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.bin.join(program));
        command.current_dir(self.home.path()).env_remove("PGDATA");
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Immediate shutdown: the data is thrown away with its folder.
            let _ = running.stop(Signal::QUIT, Duration::from_secs(10));
        }
    }
}

/// Whether the server lets a client in.
fn ready(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let bounded = stream.set_read_timeout(Some(Duration::from_secs(2))).is_ok();
    // A start-up message of protocol 3.0 for user and database postgres; the answer begins with R (authentication)
    // when the server is ready and with E while it starts or recovers.
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut message = Vec::with_capacity(body.len() + 4);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    message.extend(length.to_be_bytes());
    message.extend(body);
    let mut answer = [0_u8; 1];
    bounded && stream.write_all(&message).is_ok() && stream.read_exact(&mut answer).is_ok() && answer[0] == b'R'
}

/// `postgres` where it exists (Debian), else `nobody`.
fn unprivileged() -> Result<Owner> {
    let users = fs::read_to_string("/etc/passwd").context("read the users of this machine")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| find_user(&users, name))
        .context("Postgres refuses to run as root, and this machine has neither a user postgres nor nobody")
}

fn find_user(users: &str, name: &str) -> Option<Owner> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Owner { uid, gid })
    })
}

/// The programs in a place that their user can enter: a cache below root's home is copied.
fn reachable(programs: &Programs, owner: Option<Owner>, home: &Path) -> Result<Programs> {
    let open = |p: &Path| fs::metadata(p).is_ok_and(|m| m.permissions().mode() & 0o005 == 0o005);
    if owner.is_none() || programs.bin.ancestors().all(open) {
        return Ok(programs.clone());
    }
    let native = programs.bin.parent().context("programs lie in a folder")?;
    let copy = home.join("postgres");
    npm::run(Command::new("cp").arg("-a").arg(native).arg(&copy))?;
    npm::run(Command::new("chmod").args(["-R", "a+rX"]).arg(&copy))?;
    Ok(Programs { bin: copy.join("bin") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/:/bin/sh\npostgres2:x:7:8::/:/\npostgres:x:105:110::/var:/bin/bash\n";
        let owner = find_user(users, "postgres").unwrap();
        assert_eq!((owner.uid, owner.gid), (105, 110));
        assert!(find_user(users, "nobody").is_none());
    }
}
