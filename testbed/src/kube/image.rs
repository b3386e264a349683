//! Container images without a registry and without Docker: one layer of chosen files and a
//! configuration, written as the archive that `docker save` writes and every runtime can import.
//!
//! ```text
//! files, texts ──► layer.tar ──► its SHA-256 ──► config.json ──► manifest.json ──► one tar
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{KubeError, with_path};

/// The `nonroot` of distroless images, which ours are built on.
const USER: &str = "65532:65532";
const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";
/// Where Debian and Alpine, then Fedora, keep the authorities that the machine trusts.
const AUTHORITIES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// An image in the making.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    /// By their path in the image, without the slash at its start.
    files: BTreeMap<String, Content>,
    entrypoint: Vec<String>,
    environment: Vec<String>,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Text(String),
}

impl Image {
    /// An empty image of this name, such as `localhost/s3bundler:test`, run as user 65532.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: BTreeMap::new(),
            entrypoint: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// What the Dockerfile's image has, for a binary of this machine: the program as
    /// `/usr/local/bin/<its name>`, the libraries that it is linked to, the authorities that TLS
    /// trusts, and the user `nonroot`.
    pub fn of_program(name: impl Into<String>, program: &Path) -> Result<Self, KubeError> {
        let base = program.file_name().unwrap_or_default().to_string_lossy();
        let inside = format!("/usr/local/bin/{base}");
        let mut image = Self::new(name)
            .file(&inside, program)
            .text("/etc/passwd", PASSWD)
            .text("/etc/group", GROUP)
            .entrypoint([inside.as_str()])
            .environment("PATH", "/usr/local/bin:/usr/bin:/bin");
        if let Some(authorities) = AUTHORITIES.iter().find(|path| Path::new(path).exists()) {
            image = image
                .file(AUTHORITIES[0], authorities)
                .environment("SSL_CERT_FILE", AUTHORITIES[0]);
        }
        for library in libraries(program)? {
            image = image.file(&library, &library);
        }
        Ok(image)
    }

    /// Adds a file of this machine at an absolute path, with its permissions to execute.
    #[must_use]
    pub fn file(mut self, inside: &str, source: impl AsRef<Path>) -> Self {
        self.files
            .insert(relative(inside), Content::File(source.as_ref().to_owned()));
        self
    }

    /// Adds a file with this text at an absolute path.
    #[must_use]
    pub fn text(mut self, inside: &str, text: impl Into<String>) -> Self {
        self.files
            .insert(relative(inside), Content::Text(text.into()));
        self
    }

    /// The program to start, with its first arguments.
    #[must_use]
    pub fn entrypoint<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.entrypoint = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Its name, for pod specifications.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the archive. The same files give the same bytes.
    pub fn write(&self, archive: &Path) -> Result<(), KubeError> {
        let layer_path = archive.with_extension("layer");
        let layer = self.write_layer(&layer_path)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"User": USER, "Entrypoint": self.entrypoint, "Env": self.environment, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        })
        .to_string();
        let config_name = format!(
            "{}.json",
            HEXLOWER.encode(&Sha256::digest(config.as_bytes()))
        );
        let layer_name = format!("{layer}/layer.tar");
        let manifest =
            json!([{"Config": config_name, "RepoTags": [self.name], "Layers": [layer_name]}])
                .to_string();

        let file = File::create(archive).map_err(with_path(archive))?;
        let mut tar = tar::Builder::new(io::BufWriter::new(file));
        let written = (|| {
            append(
                &mut tar,
                &config_name,
                0o644,
                config.len() as u64,
                config.as_bytes(),
            )?;
            let layer = File::open(&layer_path)?;
            append(&mut tar, &layer_name, 0o644, layer.metadata()?.len(), layer)?;
            append(
                &mut tar,
                "manifest.json",
                0o644,
                manifest.len() as u64,
                manifest.as_bytes(),
            )?;
            tar.into_inner()?.flush()
        })();
        written.map_err(with_path(archive))?;
        fs::remove_file(&layer_path).map_err(with_path(&layer_path))
    }

    /// Writes the tar of all files, and gives its SHA-256.
    fn write_layer(&self, path: &Path) -> Result<String, KubeError> {
        let file = File::create(path).map_err(with_path(path))?;
        let mut tar = tar::Builder::new(Hashed {
            inner: io::BufWriter::new(file),
            hash: Sha256::new(),
        });
        for (inside, content) in &self.files {
            match content {
                Content::Text(text) => {
                    append(&mut tar, inside, 0o644, text.len() as u64, text.as_bytes())
                        .map_err(with_path(path))?;
                }
                Content::File(source) => (|| {
                    use std::os::unix::fs::PermissionsExt;
                    let file = File::open(source)?;
                    let facts = file.metadata()?;
                    let mode = if facts.permissions().mode() & 0o111 == 0 {
                        0o644
                    } else {
                        0o755
                    };
                    append(&mut tar, inside, mode, facts.len(), file)
                })()
                .map_err(with_path(source))?,
            }
        }
        let mut hashed = tar.into_inner().map_err(with_path(path))?;
        hashed.flush().map_err(with_path(path))?;
        Ok(HEXLOWER.encode(&hashed.hash.finalize()))
    }
}

/// A writer that hashes what passes.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, path, content)
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// As Go, and so every container runtime, names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// What `ldd` names: nothing for a static program.
fn libraries(program: &Path) -> Result<Vec<String>, KubeError> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .map_err(with_path(Path::new("ldd")))?;
    named_libraries(&String::from_utf8_lossy(&output.stdout)).map_err(|library| {
        KubeError::LibraryMissing {
            program: program.to_owned(),
            library,
        }
    })
}

/// The paths in the output of ldd(1), or the first library that it did not find. Lines are `name =>
/// path (address)`, `name => not found`, `path (address)` for the loader, and `name (address)` for
/// what the kernel brings.
fn named_libraries(output: &str) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for line in output.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix("=> not found") {
            return Err(name.trim().to_owned());
        }
        let target = line.split_once(" => ").map_or(line, |(_, target)| target);
        if let Some(path) = target
            .split(" (")
            .next()
            .filter(|path| path.starts_with('/'))
        {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests;
