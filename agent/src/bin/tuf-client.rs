//! The command line that the public TUF conformance suite drives, on the verification code that the agent runs.
//!
//! Exit code 0 for success, 1 for any refusal, with the reason on standard error.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use plugmend_agent::upstream::repo::{MetadataStore, TrustAnchor, Updater, encode, plain_http::PlainHttp};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    tuf::{Limits, product::SignedTarget},
};

/// A TUF 1.0 client for conformance tests, over plain HTTP on this host.
#[derive(Debug, Parser)]
#[command(name = "tuf-client")]
struct Arguments {
    /// Folder of the trusted metadata.
    #[arg(long, global = true)]
    metadata_dir: Option<PathBuf>,
    /// Base URL of the repository's metadata.
    #[arg(long, global = true)]
    metadata_url: Option<String>,
    /// A target to download; may be given several times.
    #[arg(long, global = true)]
    target_name: Vec<String>,
    /// Base URL of the repository's targets.
    #[arg(long, global = true)]
    target_base_url: Option<String>,
    /// Folder for downloaded targets.
    #[arg(long, global = true)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take this root as trusted.
    Init {
        /// The root's file.
        root: PathBuf,
    },
    /// Fetch and check the metadata.
    Refresh,
    /// Fetch and check the metadata, then the targets.
    Download,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = arguments.metadata_dir.as_deref().context("--metadata-dir is needed")?;
    let store = MetadataStore::open(folder)?;
    if let Verb::Init { root } = &arguments.verb {
        let bytes = fs::read(root).with_context(|| format!("reading {}", root.display()))?;
        // The file as given: the first refresh judges it, before anything is fetched.
        store.save("root", &bytes)?;
        return Ok(());
    }
    let metadata = arguments.metadata_url.as_deref().context("--metadata-url is needed")?;
    let targets = arguments.target_base_url.as_deref();
    let transport = PlainHttp::new(metadata, targets.unwrap_or_default());
    let mut updater = Updater::new(transport, store, TrustAnchor::Stored, Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        updater.refresh(SystemClock.now()).await?;
        if matches!(arguments.verb, Verb::Refresh) {
            return Ok(());
        }
        let folder = arguments.target_dir.as_deref().context("--target-dir is needed")?;
        if targets.is_none() || arguments.target_name.is_empty() {
            bail!("--target-base-url and --target-name are needed");
        }
        for name in &arguments.target_name {
            download(&mut updater, name, folder).await?;
        }
        Ok(())
    })
}

async fn download(updater: &mut Updater<PlainHttp>, name: &str, folder: &Path) -> anyhow::Result<()> {
    let Some(target) = updater.find(name).await? else {
        bail!("no role that may signs for '{name}'");
    };
    let path = folder.join(encode(name));
    if here_already(&path, &target) {
        return Ok(());
    }
    let bytes = updater.fetch_target(&target).await?;
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn here_already(path: &Path, target: &SignedTarget) -> bool {
    let same_length = fs::metadata(path).is_ok_and(|file| file.len() == target.file.length);
    same_length && fs::read(path).is_ok_and(|bytes| target.file.check(&bytes).is_ok())
}
