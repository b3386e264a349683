//! What runs pods: containerd with runc and CNI, and the kubelet that tells it to.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::certificates::{Certificates, NODE};
use super::node::{BRIDGE, NETWORK, Node};
use super::{KubeError, NODE_ADDRESS, with_path};

/// The image of the container that holds a pod's namespaces.
pub(super) const PAUSE: &str = "localhost/pause:1";

/// Where containerd listens.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

/// Starts containerd. `plugins` is the folder of the CNI plugins.
pub(super) fn start_containerd(
    node: &mut Node,
    folder: &Path,
    plugins: &Path,
) -> Result<(), KubeError> {
    let network = folder.join("cni");
    fs::create_dir(&network).map_err(with_path(&network))?;
    write_file(
        &network.join("testbed.conflist"),
        &format!("{:#}", pod_network(folder)),
    )?;
    let config = folder.join("containerd.toml");
    write_file(&config, &containerd_config(folder, plugins))?;
    node.run(
        "containerd",
        Path::new("containerd"),
        &[format!("--config={}", config.display())],
    )
}

/// Pods are on the bridge, between the addresses of the node and of this machine.
fn pod_network(folder: &Path) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "testbed",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "ipam": {
                "type": "host-local",
                "dataDir": folder.join("addresses"),
                "ranges": [[{
                    "subnet": NETWORK,
                    "rangeStart": "10.88.1.0",
                    "rangeEnd": "10.88.199.255",
                    "gateway": NODE_ADDRESS,
                }]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

/// TOML's basic strings are JSON's.
fn containerd_config(folder: &Path, plugins: &Path) -> String {
    let path = |name: &str| json!(folder.join(name));
    format!(
        r#"version = 2
root = {root}
state = {state}
# A snapshotter for file systems that we do not have, and a monitor of nothing.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]

[grpc]
address = {socket}

[plugins."io.containerd.internal.v1.opt"]
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Without CAP_SYS_RESOURCE, as on many build machines, no process may make itself less likely to be killed, and pods that
# are told to do not start.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {network}
"#,
        root = path("containerd"),
        state = path("containerd-state"),
        socket = json!(socket(folder)),
        opt = path("opt"),
        plugins = json!(plugins),
        network = path("cni"),
    )
}

/// Starts the kubelet.
pub(super) fn start_kubelet(
    node: &mut Node,
    programs: &Path,
    folder: &Path,
    keys: &Certificates,
) -> Result<(), KubeError> {
    make_control_group(node.control_group())?;
    // Pods have no DNS; with no server named, a resolver says so at once.
    let resolver = folder.join("resolv.conf");
    write_file(&resolver, "options timeout:1 attempts:1\n")?;
    let config = folder.join("kubelet.json");
    write_file(
        &config,
        &format!("{:#}", kubelet_config(node, folder, &resolver, keys)),
    )?;
    node.run(
        "kubelet",
        &programs.join("kubelet"),
        &[
            format!("--config={}", config.display()),
            format!("--root-dir={}", folder.join("kubelet").display()),
            keys.option("kubeconfig", "kubelet.kubeconfig"),
            format!("--hostname-override={NODE}"),
            // Not loopback, which the API server would take for itself when it is asked for logs.
            format!("--node-ip={NODE_ADDRESS}"),
        ],
    )
}

fn kubelet_config(node: &Node, folder: &Path, resolver: &Path, keys: &Certificates) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": keys.file("ca.pem")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.control_group()),
        "containerRuntimeEndpoint": format!("unix://{}", socket(folder).display()),
        "failSwapOn": false,
        "failCgroupV1": false,
        "makeIPTablesUtilChains": false,
        "resolvConf": resolver,
        "volumePluginDir": folder.join("volume-plugins"),
        // A disk that is nearly full is no reason to evict pods, nor to delete images that no
        // registry has.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
    })
}

/// In each hierarchy of version 1, or in the one of version 2: the kubelet wants its root to be
/// there.
fn make_control_group(name: &str) -> Result<(), KubeError> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        let entries = fs::read_dir(root).map_err(with_path(root))?;
        // `cpu` and `cpuacct` may be links to one hierarchy.
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect()
    };
    for hierarchy in hierarchies {
        let group = hierarchy.join(name);
        fs::create_dir(&group).map_err(with_path(&group))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), KubeError> {
    fs::write(path, text).map_err(with_path(path))
}
