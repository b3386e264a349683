//! A cluster boots, runs pods as a cluster does, and leaves the machine as it was. One cluster at a
//! time fits on a machine, so this is one test of several steps.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use s3bundler_testbed::cli::{Program, kill_and_wait};
use s3bundler_testbed::client;
use s3bundler_testbed::install::{Recipe, installed};
use s3bundler_testbed::kube::{Cluster, HOST_ADDRESS, Image, KubeError};
use s3bundler_testbed::proxy::Proxy;

/// An image whose program waits to be ended.
fn idle() -> Image {
    let folder = installed(Recipe::Kubernetes).unwrap();
    Image::new("localhost/idle:test")
        .file("/idle", folder.join("pause"))
        .entrypoint(["/idle"])
}

/// All that a cluster could leave on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    routes: String,
    folders: BTreeSet<String>,
    control_groups: BTreeSet<String>,
    settings: Vec<String>,
}

fn traces() -> Traces {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path().display().to_string())
            .collect()
    };
    let ours = |text: &str| text.contains("s3bundler-kube-");
    // Programs name the cluster's folder in their arguments, moto in its environment, containers in
    // their control groups.
    let processes = names("/proc").into_iter().filter_map(|process| {
        let read = |file: &str| {
            let bytes = fs::read(format!("{process}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let line = read("cmdline");
        let named = ours(&line) || ours(&read("environ")) || ours(&read("cgroup"));
        named.then(|| format!("{process} {line}"))
    });
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let routes = Command::new("ip")
        .args(["-4", "route"])
        .output()
        .unwrap()
        .stdout;
    let hierarchies = names("/sys/fs/cgroup")
        .into_iter()
        .chain(["/sys/fs/cgroup".to_owned()]);
    let settings = [
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/ip_forward",
    ];
    let machine = [
        "/run",
        "/run/netns",
        "/var/lib",
        "/var/lib/cni",
        "/var/log",
        "/opt",
        "/usr/libexec",
        "/etc",
        "/etc/cni",
    ];
    Traces {
        processes: processes.collect(),
        mounts: mounts
            .lines()
            .filter(|line| ours(line))
            .map(str::to_owned)
            .collect(),
        links: names("/sys/class/net")
            .into_iter()
            .filter(|link| link.contains("/tb"))
            .collect(),
        routes: String::from_utf8(routes).unwrap(),
        folders: names(&std::env::temp_dir().display().to_string())
            .into_iter()
            .filter(|path| ours(path) && !path.ends_with(".lock"))
            .chain(
                machine
                    .iter()
                    .flat_map(|folder| names(folder))
                    .filter(|path| !path.starts_with("/run/user")),
            )
            .collect(),
        control_groups: hierarchies
            .flat_map(|folder| names(&folder))
            .filter(|path| ours(path))
            .collect(),
        settings: settings
            .iter()
            .map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap())
            .collect(),
    }
}

async fn a_job_completes(cluster: &Cluster) {
    let begun = Instant::now();
    cluster
        .apply(
            r"
apiVersion: batch/v1
kind: Job
metadata: {name: quick, namespace: default}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: quick
        image: localhost/testbed:test
        imagePullPolicy: Never
        args: [--version]
",
        )
        .await
        .unwrap();
    cluster
        .kubectl([
            "wait",
            "--for=condition=Complete",
            "job/quick",
            "--timeout=90s",
        ])
        .await
        .unwrap();
    println!("job: {:.1} s", begun.elapsed().as_secs_f32());
    assert!(
        cluster
            .kubectl(["logs", "job/quick"])
            .await
            .unwrap()
            .starts_with("s3bundler-testbed ")
    );
}

const RESTRICTED: &str = r"
apiVersion: v1
kind: Namespace
metadata:
  name: restricted
  labels: {pod-security.kubernetes.io/enforce: restricted}
";

async fn restricted_pod_security_refuses_a_pod_that_says_nothing_of_it(cluster: &Cluster) {
    cluster.apply(RESTRICTED).await.unwrap();
    let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: careless, namespace: restricted}
spec: {containers: [{name: idle, image: "localhost/idle:test", imagePullPolicy: Never}]}
"#;
    let error = cluster.apply(pod).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains(r#"violates PodSecurity "restricted:latest""#),
        "{error}"
    );
}

/// The client is a shell that speaks plain HTTP: what is tested is the way, and the image of a
/// linked program.
async fn a_restricted_pod_reaches_s3_and_the_api(cluster: &Cluster) {
    let s3 = client::s3(cluster.access());
    client::create_bucket(&s3, "from-outside").await.unwrap();
    // On this machine, which pods reach too.
    let proxy = Proxy::start_at(cluster.access(), (HOST_ADDRESS, 0).into()).unwrap();
    let pod = format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: restricted}}
spec:
  restartPolicy: Never
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: client
    image: localhost/bash:test
    imagePullPolicy: Never
    args:
    - -c
    - |
      set -eu
      exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT
      for server in {endpoints}; do
        exec 4<>/dev/tcp/$server
        printf 'GET /from-outside?list-type=2 HTTP/1.0\r\nHost: x\r\n\r\n' >&4
        while read -r line || [ -n "$line" ]; do echo "$line"; done <&4
      done
      echo "user $UID"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {{drop: [ALL]}}
"#,
        endpoints = [cluster.access(), proxy.access()]
            .map(|access| access
                .endpoint
                .trim_start_matches("http://")
                .replace(':', "/"))
            .join(" "),
    );
    cluster.apply(&pod).await.unwrap();
    let waited = cluster
        .kubectl([
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            "pod/client",
            "-n=restricted",
            "--timeout=90s",
        ])
        .await;
    let said = cluster
        .kubectl(["logs", "client", "-n=restricted"])
        .await
        .unwrap();
    waited.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert_eq!(
        said.matches("<Name>from-outside</Name>").count(),
        2,
        "{said}"
    );
    assert!(said.contains("user 65532"), "{said}");
    assert_eq!(proxy.requests(), 1);
}

async fn another_process_can_attach(cluster: &Cluster) {
    let attached = Cluster::attach(cluster.folder()).unwrap();
    assert_eq!(attached.access(), cluster.access());
    assert!(
        attached
            .kubectl(["get", "--raw=/version"])
            .await
            .unwrap()
            .contains("\"gitVersion\": \"v1.")
    );
    assert!(
        attached
            .helm(["version", "--short"])
            .await
            .unwrap()
            .starts_with("v3.")
    );
}

/// By kubectl without and with server-side apply, each on its own and over the other. Without, the
/// annotation with what was applied last has to fit ("Annotations": 256 KiB in all).
async fn the_definition_is_applied_either_way(cluster: &Cluster) {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crds")
        .display()
        .to_string();
    let client_side = ["apply", "-f", &crds];
    let server_side = ["apply", "--server-side", "--force-conflicts", "-f", &crds];
    for ways in [
        [&client_side[..], &server_side],
        [&server_side[..], &client_side],
    ] {
        for apply in ways {
            cluster.kubectl(apply).await.unwrap();
            cluster
                .established("archiveruns.archive.s3bundler.dev")
                .await
                .unwrap();
            cluster
                .kubectl([
                    "get",
                    "--raw=/apis/archive.s3bundler.dev/v1alpha1/archiveruns",
                ])
                .await
                .unwrap();
        }
        cluster
            .kubectl(["delete", "-f", &crds, "--wait"])
            .await
            .unwrap();
    }
}

async fn load_images(cluster: &Cluster) {
    cluster.load(&idle()).await.unwrap();
    let testbed = Path::new(env!("CARGO_BIN_EXE_s3bundler-testbed"));
    let image = Image::of_program("localhost/testbed:test", testbed).unwrap();
    cluster.load(&image).await.unwrap();
    cluster
        .load(&Image::of_program("localhost/bash:test", Path::new("/bin/bash")).unwrap())
        .await
        .unwrap();
}

/// A pod that is still running when the cluster ends, with a volume that is a mount.
async fn a_pod_stays(cluster: &Cluster) {
    cluster
        .apply(
            r"
apiVersion: v1
kind: Pod
metadata: {name: idle, namespace: default}
spec:
  volumes: [{name: scratch, emptyDir: {medium: Memory}}]
  containers:
  - name: idle
    image: localhost/idle:test
    imagePullPolicy: Never
    volumeMounts: [{name: scratch, mountPath: /scratch}]
",
        )
        .await
        .unwrap();
    cluster
        .kubectl(["wait", "--for=condition=Ready", "pod/idle", "--timeout=90s"])
        .await
        .unwrap();
}

/// The command line against a cache of its own, so that a person's cluster is not taken for the
/// test's.
fn testbed(cache: &Path, arguments: &[&str]) -> Program {
    Program::new(env!("CARGO_BIN_EXE_s3bundler-testbed"))
        .env("S3BUNDLER_CACHE", cache)
        // Where kubectl keeps what it has discovered: without one it is the folder of the test.
        .env("HOME", cache)
        .args(arguments)
        .timeout(Duration::from_mins(5))
}

fn cache_with_links_to_what_is_installed() -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    for recipe in [Recipe::Kubernetes, Recipe::Helm, Recipe::Moto] {
        let folder = installed(recipe).unwrap();
        std::os::unix::fs::symlink(&folder, cache.path().join(folder.file_name().unwrap()))
            .unwrap();
    }
    cache
}

async fn up_exec_and_down_leave_nothing(before: &Traces) {
    let cache = tokio::task::spawn_blocking(cache_with_links_to_what_is_installed)
        .await
        .unwrap();
    let own = cache.path().join("somebody-s-own");
    fs::write(&own, "").unwrap();
    let theirs = testbed(cache.path(), &["up"])
        .env("KUBECONFIG", &own)
        .run()
        .await
        .unwrap();
    let told = format!("export KUBECONFIG={}\n", own.display());
    assert_eq!(
        (theirs.code, theirs.stdout.as_str()),
        (Some(0), told.as_str()),
        "{theirs}"
    );

    // As in a shell that names the cluster that `down` has ended.
    let gone = cache.path().join("gone");
    let up = testbed(cache.path(), &["up"])
        .env("KUBECONFIG", &gone)
        .run()
        .await
        .unwrap();
    assert_eq!(up.code, Some(0), "{up}");
    for name in [
        "KUBECONFIG",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "PATH",
    ] {
        assert!(up.stdout.contains(&format!("export {name}='")), "{up}");
    }
    let again = testbed(cache.path(), &["up"]).run().await.unwrap();
    assert_eq!(again.stdout, up.stdout, "{again}");
    let nodes = testbed(
        cache.path(),
        &["exec", "--", "kubectl", "get", "nodes", "--no-headers"],
    )
    .run()
    .await
    .unwrap();
    assert!(nodes.stdout.contains(" Ready "), "{nodes}");
    let wrong = testbed(
        cache.path(),
        &["exec", "--", "kubectl", "get", "pod", "no-such"],
    )
    .run()
    .await
    .unwrap();
    assert_eq!(wrong.code, Some(1), "{wrong}");
    let down = testbed(cache.path(), &["down"]).run().await.unwrap();
    assert_eq!(down.code, Some(0), "{down}");
    assert_eq!(&traces(), before);
    let nodes = testbed(cache.path(), &["exec", "--", "kubectl", "get", "nodes"])
        .run()
        .await
        .unwrap();
    assert!(nodes.stderr.contains("no cluster runs"), "{nodes}");
}

async fn down_ends_a_boot(before: &Traces) {
    let cache = tokio::task::spawn_blocking(cache_with_links_to_what_is_installed)
        .await
        .unwrap();
    let up = testbed(cache.path(), &["up"]).spawn().unwrap();
    let begun = Instant::now();
    while !traces()
        .processes
        .iter()
        .any(|process| process.contains("kube-apiserver"))
    {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "no API server yet\n{}",
            up.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let down = testbed(cache.path(), &["down"]).run().await.unwrap();
    assert_eq!(down.code, Some(0), "{down}");
    let up = up.wait().await.unwrap();
    assert!(up.stderr.contains("did not start"), "{up}");
    assert_eq!(&traces(), before);
}

/// A bridge that took the address of one of its ports would have another one with every pod.
async fn the_node_is_where_it_was(cluster: &Cluster) {
    let ip = |arguments: &[&str]| {
        String::from_utf8(Command::new("ip").args(arguments).output().unwrap().stdout).unwrap()
    };
    ip(&["-4", "neighbour", "flush", "to", "10.88.0.1"]);
    cluster.kubectl(["get", "nodes"]).await.unwrap();
    let known = ip(&["-4", "neighbour", "show", "to", "10.88.0.1"]);
    assert!(known.contains("lladdr 02:00:0a:58:00:01"), "{known}");
}

async fn a_keeper_that_is_killed_leaves_nothing(before: &Traces) {
    let cache = tokio::task::spawn_blocking(cache_with_links_to_what_is_installed)
        .await
        .unwrap();
    let keeper = testbed(cache.path(), &["keep"]).spawn().unwrap();
    // Half way: containers' daemon runs, the node is not ready.
    let begun = Instant::now();
    while !traces()
        .processes
        .iter()
        .any(|process| process.contains("kubelet.json"))
    {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "no kubelet yet\n{}",
            keeper.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kill_and_wait(keeper.pid()).unwrap();
    drop(keeper);
    let begun = Instant::now();
    while &traces() != before && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(&traces(), before);
}

#[tokio::test]
async fn a_cluster_boots_runs_pods_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI tests a cluster, which needs root"
        );
        assert!(matches!(Cluster::start().await, Err(KubeError::NotRoot)));
        eprintln!("a cluster needs root: only its refusal was tested");
        return;
    }
    // Installed first, so that the packages' own files and the build's processes are no traces.
    tokio::task::spawn_blocking(|| {
        s3bundler_testbed::install::node_tools().unwrap();
        [Recipe::Kubernetes, Recipe::Helm, Recipe::Moto].map(|recipe| installed(recipe).unwrap())
    })
    .await
    .unwrap();
    let before = traces();

    let begun = Instant::now();
    let cluster = Cluster::start().await.unwrap();
    println!("boot: {:.1} s", begun.elapsed().as_secs_f32());
    load_images(&cluster).await;
    a_job_completes(&cluster).await;
    restricted_pod_security_refuses_a_pod_that_says_nothing_of_it(&cluster).await;
    a_restricted_pod_reaches_s3_and_the_api(&cluster).await;
    another_process_can_attach(&cluster).await;
    the_definition_is_applied_either_way(&cluster).await;
    a_pod_stays(&cluster).await;
    // What the traces do not see they cannot miss afterwards.
    let during = traces();
    for program in [
        "containerd ",
        "/idle",
        "/pause",
        "kube-apiserver",
        "server.py",
        "etcd ",
    ] {
        assert!(
            during
                .processes
                .iter()
                .any(|process| process.contains(program)),
            "{program} in {during:#?}"
        );
    }
    assert_ne!(during.links, before.links);
    assert_ne!(during.routes, before.routes);
    assert_ne!(during.folders, before.folders);
    assert_ne!(during.control_groups, before.control_groups);
    assert_eq!(during.settings, before.settings);
    the_node_is_where_it_was(&cluster).await;
    let folder = cluster.folder().to_owned();
    let begun = Instant::now();
    cluster.stop().await.unwrap();
    println!("stop: {:.1} s", begun.elapsed().as_secs_f32());
    assert_eq!(traces(), before);
    assert!(matches!(
        Cluster::attach(&folder),
        Err(KubeError::NotRunning(_))
    ));

    up_exec_and_down_leave_nothing(&before).await;
    down_ends_a_boot(&before).await;
    a_keeper_that_is_killed_leaves_nothing(&before).await;
}
