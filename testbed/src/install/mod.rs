//! Getting the servers onto this machine.
//!
//! Every server is pinned by a file under `servers/` (a Go module, a Maven pom, a pip requirements
//! list) that is compiled into this crate. It is installed once into `$S3BUNDLER_CACHE` (or
//! `~/.cache/s3bundler`) under `<name>-<hash of the pin>`, so that another pin is another folder
//! and nothing in an old one is ever trusted:
//!
//! ```text
//! pin ──► key ──► <cache>/<name>-<key>/ there? ──yes──► use it
//!                        │ no
//!                        ▼
//!          <tool>.lock ──► build in a temporary folder ──► rename into place
//! ```
//!
//! The file lock lets any number of test processes start together with only one of them installing;
//! the rename means that a folder under its final name is always whole. What a finished
//! installation leans on outside the cache (the Python that a virtual environment links to, the
//! Java that runs the jars) is looked for every time.

mod recipe;
mod tool;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use thiserror::Error;

pub use recipe::{Recipe, keda_version};
use tool::Tool;

/// Why a server could not be installed. Each variant is one line that says what to do or where to
/// look.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The cache folder cannot be found out: neither `S3BUNDLER_CACHE` nor `HOME` is set.
    #[error("no cache folder: set S3BUNDLER_CACHE or HOME")]
    NoCacheFolder,
    /// A program that the recipe needs is neither here nor could it be installed.
    #[error("{program} is missing: install it ({package} on Debian)")]
    ToolMissing {
        /// The program looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program that the recipe needs is here, but too old for it.
    #[error("{program} {oldest} or newer is needed, found {found}: install it ({from})")]
    ToolTooOld {
        /// The program.
        program: &'static str,
        /// The oldest version that will do.
        oldest: String,
        /// The version that it says it is.
        found: String,
        /// Where a newer one comes from.
        from: &'static str,
    },
    /// A step of the recipe failed.
    #[error("installing {name}: `{command}` failed with {status}:\n{output}")]
    StepFailed {
        /// The server being installed.
        name: &'static str,
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The cache folder cannot be read or written.
    #[error("cache {path}: {source}")]
    Cache {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folder that holds everything installed: `$S3BUNDLER_CACHE`, otherwise `~/.cache/s3bundler`.
pub fn cache_folder() -> Result<PathBuf, InstallError> {
    if let Some(folder) = std::env::var_os("S3BUNDLER_CACHE").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(folder));
    }
    std::env::var_os("HOME")
        .filter(|value| !value.is_empty())
        .map(|home| Path::new(&home).join(".cache/s3bundler"))
        .ok_or(InstallError::NoCacheFolder)
}

/// Makes sure that a server is installed and gives its folder. Blocks for as long as the
/// installation takes, also when another process is the one doing it.
pub fn installed(recipe: Recipe) -> Result<PathBuf, InstallError> {
    installed_in(&cache_folder()?, recipe)
}

/// The folder of a server that is installed; nothing is installed for it.
pub fn found(recipe: Recipe) -> Result<Option<PathBuf>, InstallError> {
    let folder = folder(&cache_folder()?, recipe);
    Ok(recipe.is_whole(&folder).then_some(folder))
}

fn folder(cache: &Path, recipe: Recipe) -> PathBuf {
    cache.join(format!("{}-{}", recipe.name(), key(recipe)))
}

/// Makes sure that `bsdtar` can be started. Blocks for as long as an installation takes.
pub fn bsdtar() -> Result<(), InstallError> {
    Tool::BSDTAR.present()
}

/// Makes sure that what a Kubernetes node is made of is here (containerd, runc, iptables, ip,
/// nsenter, CNI plugins), and gives the folder of the CNI plugins. Blocks for as long as an
/// installation takes.
pub fn node_tools() -> Result<&'static Path, InstallError> {
    for tool in [
        Tool::CONTAINERD,
        Tool::RUNC,
        Tool::IPTABLES,
        Tool::IP,
        Tool::NSENTER,
    ] {
        tool.present()?;
    }
    // Debian's own, then where upstream's archive is unpacked by custom.
    Tool::CNI.folder_of(&["/usr/lib/cni", "/opt/cni/bin"])
}

fn installed_in(cache: &Path, recipe: Recipe) -> Result<PathBuf, InstallError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Cache { path, source }
    };
    recipe.ready_to_run()?;
    let folder = folder(cache, recipe);
    if recipe.is_whole(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(cache).map_err(failed(cache))?;
    let lock_path = cache.join(format!("{}.lock", recipe.lock_name()));
    let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
    lock.lock().map_err(failed(&lock_path))?;
    if recipe.is_whole(&folder) {
        return Ok(folder);
    }
    // Under the lock, so an installation that is unfinished or lost its footing is nobody's.
    let unfinished = cache.join(format!("{}-{}.unfinished", recipe.name(), key(recipe)));
    for old in [&unfinished, &folder] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(failed(old))?;
        }
    }
    fs::create_dir(&unfinished).map_err(failed(&unfinished))?;
    recipe.build(&unfinished)?;
    fs::rename(&unfinished, &folder).map_err(failed(&folder))?;
    Ok(folder)
}

/// The first 12 hex digits of the MD5 of all that decides what the installation contains.
fn key(recipe: Recipe) -> String {
    let mut hash = Md5::new();
    for part in recipe.pin() {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut hex = HEXLOWER.encode(&hash.finalize());
    hex.truncate(12);
    hex
}

#[cfg(test)]
mod tests;
