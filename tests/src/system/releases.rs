//! The release engineers: a workspace, their keys, and the real command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{ControlPlane, binaries};

/// How many people hold a release key, and how many of them must sign.
pub const HOLDERS: usize = 3;
/// See [`HOLDERS`].
pub const THRESHOLD: usize = 2;

/// One product's release engineers.
pub struct Releases {
    workspace: PathBuf,
    keys: PathBuf,
    product: String,
    api_url: String,
    token: String,
}

impl Releases {
    /// Draws the keys and makes the repository's root and the product's role: 2 of 3 people must sign each release.
    pub fn begin(home: &Path, product: &str, control_plane: &ControlPlane) -> Result<Self> {
        let this = Self {
            workspace: home.join("workspace"),
            keys: home.join("keys"),
            product: product.to_owned(),
            api_url: control_plane.api_url(),
            token: control_plane.ops().token().to_owned(),
        };
        fs::create_dir_all(&this.keys)?;
        let online = this.keys.join("online.json");
        fs::write(&online, control_plane.repository_keys()?)?;
        for holder in std::iter::once("root".to_owned()).chain((1..=HOLDERS).map(holder)) {
            this.run(&["keygen", "--owner", &holder, "--out", &this.key(&holder)])?;
        }
        let root = format!("{}.pub", this.key("root"));
        let online = online.display().to_string();
        let threshold = THRESHOLD.to_string();
        let mut init = vec![
            "init",
            "--root-key",
            &root,
            "--online-keys",
            &online,
            "--product",
            product,
        ];
        let public: Vec<String> = (1..=HOLDERS).map(|n| format!("{}.pub", this.key(&holder(n)))).collect();
        for key in &public {
            init.extend(["--release-key", key]);
        }
        init.extend(["--release-threshold", &threshold]);
        this.run_in_workspace(&init)?;
        this.sign_as("root")?;
        this.sign()?;
        this.publish()?;
        Ok(this)
    }

    /// Builds a release from a folder and a descriptor's text; what the command line says about it.
    pub fn build(&self, folder: &Path, version: &str, descriptor: &str) -> Result<Value> {
        let file = self.workspace.join(format!("{version}.toml"));
        fs::write(
            &file,
            format!("product = \"{}\"\nversion = \"{version}\"\n{descriptor}", self.product),
        )?;
        let (folder, file) = (folder.display().to_string(), file.display().to_string());
        self.run_in_workspace(&["build", "--descriptor", &file, &folder])
    }

    /// As many people sign as must.
    pub fn sign(&self) -> Result<()> {
        (1..=THRESHOLD).try_for_each(|n| self.sign_as(&holder(n)))
    }

    /// One person signs.
    pub fn sign_as(&self, holder: &str) -> Result<()> {
        self.run_in_workspace(&["sign", "--key", &self.key(holder)]).map(drop)
    }

    /// Uploads and publishes what is signed; what the command line says about it.
    pub fn publish(&self) -> Result<Value> {
        self.run_in_workspace(&["publish"])
    }

    /// Builds, signs and publishes one release; what the build said.
    pub fn release(&self, folder: &Path, version: &str, descriptor: &str) -> Result<Value> {
        let built = self.build(folder, version, descriptor)?;
        self.sign()?;
        self.publish()?;
        Ok(built)
    }

    /// The root that agents get with their package.
    pub fn root_file(&self) -> PathBuf {
        self.workspace.join("metadata/1.root.json")
    }

    /// The product.
    pub fn product(&self) -> &str {
        &self.product
    }

    fn key(&self, holder: &str) -> String {
        self.keys.join(holder).display().to_string()
    }

    fn run_in_workspace(&self, arguments: &[&str]) -> Result<Value> {
        let (verb, rest) = arguments.split_first().context("a verb")?;
        let workspace = self.workspace.display().to_string();
        let mut all = vec![*verb, "--workspace", &workspace];
        all.extend(rest);
        self.run(&all)
    }

    /// Runs `plugmend release ...`; its answer as data.
    fn run(&self, arguments: &[&str]) -> Result<Value> {
        let out = Command::new(binaries::program("plugmend")?)
            .arg("--json")
            .arg("release")
            .args(arguments)
            .env("PLUGMEND_API", &self.api_url)
            .env("PLUGMEND_TOKEN", &self.token)
            .output()?;
        ensure!(
            out.status.success(),
            "plugmend release {} ended with {}: {}{}",
            arguments.join(" "),
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice(&out.stdout).context("plugmend --json prints one JSON value")
    }
}

fn holder(number: usize) -> String {
    format!("holder-{number}")
}
