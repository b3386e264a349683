//! Which process listens on a port, as `/proc` has it: another one may have taken the port before
//! our server did.

use std::fs;
use std::path::PathBuf;

/// Whether a process of ours listens on this port, at any address. Only Linux shows it: elsewhere the
/// answer on the port has to do.
pub(super) fn listens(pid: u32, port: u16) -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    // Java listens on IPv6 sockets for IPv4 as well.
    let listeners: Vec<_> = ["tcp", "tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/self/net/{table}")).ok())
        .flat_map(|table| sockets(&table, port))
        .collect();
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| listeners.contains(&target))
}

/// The sockets that listen on a port, as links to them look. The columns are those of proc(5):
/// number, local address, remote address, state (0A listens), …, inode.
fn sockets(table: &str, port: u16) -> Vec<PathBuf> {
    let port = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let listens = columns.get(1)?.ends_with(&port) && *columns.get(3)? == "0A";
            let inode = columns.get(9)?;
            listens.then(|| format!("socket:[{inode}]").into())
        })
        .collect()
}

#[cfg(test)]
mod tests;
