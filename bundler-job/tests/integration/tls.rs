//! As it runs on AWS: no endpoint URL, real host names, TLS, virtual hosts, a role assumed with a
//! web identity token, and buckets whose regions the program has to find out.
//!
//! ```text
//! s3bundler ──TLS──► front :443 ──► proxy: redirects what ──► moto: checks signatures
//!   (AWS_CA_BUNDLE)                 asks the wrong region     and the role's policy
//! ```
//!
//! All of it lives in a network and mount namespace of its own, where /etc/hosts says that AWS is
//! here and nothing but loopback can be reached.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::world::archived::Archived;
use crate::world::{self, namespace, until};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging};
use bytes::Bytes;
use s3bundler_testbed::client;
use s3bundler_testbed::install::{Recipe, installed};
use s3bundler_testbed::inventory::{Column, Inventory, inventory_of_bucket};
use s3bundler_testbed::proxy::{Fault, Proxy, Seen};
use s3bundler_testbed::servers::{Certificate, Moto};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The region that the environment names, which has none of the buckets.
const HOME: &str = "us-east-1";
/// Every bucket and its region.
const BUCKETS: [(&str, &str); 3] = [
    ("tls-photos", "eu-west-1"),
    ("tls-inventories", "us-west-2"),
    ("tls-vault", "us-west-2"),
];
/// Set in the process that runs inside the namespace.
const INSIDE: &str = "S3BUNDLER_TEST_INSIDE";
const TEST: &str =
    "tls::a_run_without_endpoint_url_finds_regions_and_uses_tls_virtual_hosts_and_web_identity";

/// Mounts the hosts file `$1` and brings loopback up with the Python `$2` (iproute2 is not
/// everywhere).
const PREPARE: &str = r#"
mount --bind "$1" /etc/hosts
"$2" -c 'import fcntl, socket, struct
# SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x41))'
shift 2"#;

#[tokio::test]
async fn a_run_without_endpoint_url_finds_regions_and_uses_tls_virtual_hosts_and_web_identity() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    // Out here, where packages can still be fetched.
    let python = tokio::task::spawn_blocking(|| installed(Recipe::Moto))
        .await
        .unwrap()
        .unwrap()
        .join("bin/python");
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, hosts_file()).unwrap();
    let mut program = namespace::program(&["--net", "--mount"], PREPARE)
        .args([hosts, python, std::env::current_exe().unwrap()])
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, "1");
    // Where the servers are installed.
    for name in ["HOME", "S3BUNDLER_CACHE"] {
        if let Some(value) = std::env::var_os(name) {
            program = program.env(name, value);
        }
    }
    let outcome = program.run().await.unwrap();
    namespace::expect_ready(&outcome);
    assert!(
        outcome.code == Some(0) && outcome.stdout.contains("1 passed"),
        "{outcome}"
    );
}

/// The names that the program may ask for. Path style (`s3.<region>.amazonaws.com`) finds nobody.
fn hosts_file() -> String {
    let mut hosts = format!("127.0.0.1 localhost sts.{HOME}.amazonaws.com\n");
    for (bucket, region) in BUCKETS {
        for region in [HOME, region] {
            let _ = writeln!(hosts, "127.0.0.1 {bucket}.s3.{region}.amazonaws.com");
        }
    }
    hosts
}

async fn inside() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start().await.unwrap();
    let s3 = client::s3(moto.access());
    for (bucket, region) in BUCKETS {
        let location = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region));
        s3.create_bucket()
            .bucket(bucket)
            .create_bucket_configuration(location.build())
            .send()
            .await
            .unwrap();
    }
    let [(source, _), (inventories, _), (vault, _)] = BUCKETS;
    fill(&s3, source).await;
    let inventory = Inventory::new(source, inventories).columns(Column::ALL);
    let inventory = inventory_of_bucket(&s3, &inventory).await.unwrap();

    let role = moto
        .role_with_policy("bundler", TRUST, &policy())
        .await
        .unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a.web.identity").unwrap();
    let proxy = Proxy::start(moto.access()).unwrap();
    proxy.rule(redirect_to_the_buckets_region);
    // Not before: moto cannot judge the one request that nobody signs.
    let (runtime, moto) = (Handle::current(), Arc::new(moto));
    proxy.after_response({
        let moto = Arc::clone(&moto);
        move |seen, _| {
            if host(seen).starts_with("sts.") {
                let (enforced, done) = std::sync::mpsc::channel();
                let moto = Arc::clone(&moto);
                runtime.spawn(async move { enforced.send(moto.enforce_iam().await) });
                done.recv().unwrap().unwrap();
            }
        }
    });
    let (certificate, distrusted) = serve_tls(
        folder.path(),
        proxy.endpoint().trim_start_matches("http://"),
    )
    .await;
    let run = world::s3bundler()
        .args([
            "run",
            "--inventory",
            &inventory.manifest,
            "--destination",
            &format!("s3://{vault}/photos"),
        ])
        .args([
            "--name",
            "over-tls",
            "--versions",
            "all",
            "--output",
            "json",
        ])
        .env("AWS_REGION", HOME)
        .env("AWS_CA_BUNDLE", &certificate.authority)
        .env("AWS_ROLE_ARN", &role)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    let distrusting = run
        .clone()
        .env_remove("AWS_CA_BUNDLE")
        .env_remove("AWS_ROLE_ARN");
    let distrusting = distrusting
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing");
    let outcome = distrusting.run().await.unwrap();
    assert_eq!(outcome.code, Some(4), "{outcome}");
    for word in [
        "PutObject of s3://tls-vault/photos/",
        "invalid peer certificate",
        "AWS_CA_BUNDLE names a PEM file",
    ] {
        assert!(outcome.stderr.contains(word), "{outcome}");
    }
    until(async || distrusted.load(Ordering::SeqCst) > 0).await;
    assert!(
        distrusted.load(Ordering::SeqCst) <= BUCKETS.len(),
        "asking again does not help: {outcome}"
    );

    let outcome = run.run().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["archived"], 4, "{outcome}");
    assert_eq!(report["leftOut"]["DeleteMarker"], 1, "{outcome}");
    assert_eq!(report["failed"], serde_json::json!({}), "{outcome}");

    check_requests(&proxy);

    moto.relax_iam().await.unwrap();
    let archived = Archived {
        s3,
        bucket: vault.to_owned(),
        prefix: "photos/".to_owned(),
    };
    check_archive(&archived).await;
}

/// Two versions of a key, a deleted one with its marker, and one with tags.
async fn fill(s3: &aws_sdk_s3::Client, source: &str) {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    let versioning = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket(source)
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
    for (key, body) in [
        ("a/ö 1.jpg", "first"),
        ("a/ö 1.jpg", "second"),
        ("gone", "still here"),
        ("tagged", "x"),
    ] {
        client::put_object(s3, source, key, body).await.unwrap();
    }
    s3.delete_object()
        .bucket(source)
        .key("gone")
        .send()
        .await
        .unwrap();
    let tag = Tag::builder().key("album").value("Crète").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    s3.put_object_tagging()
        .bucket(source)
        .key("tagged")
        .tagging(tagging)
        .send()
        .await
        .unwrap();
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example"},
    "Action":"sts:AssumeRoleWithWebIdentity"}]}"#;

/// What a run needs, and nothing more. HeadBucket is not in it: a region is told to whoever asks.
fn policy() -> String {
    let [(source, _), (inventories, _), (vault, _)] = BUCKETS;
    let allow = |actions: &[&str], resource: String| serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource});
    serde_json::json!({"Version": "2012-10-17", "Statement": [
        allow(
            &["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
            format!("arn:aws:s3:::{source}/*"),
        ),
        allow(&["s3:GetObject"], format!("arn:aws:s3:::{inventories}/*")),
        allow(
            &["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            format!("arn:aws:s3:::{vault}/photos/*"),
        ),
        allow(&["s3:ListBucket", "s3:ListBucketMultipartUploads"], format!("arn:aws:s3:::{vault}")),
    ]})
    .to_string()
}

/// TLS on port 443 for every name of AWS that is in the hosts file, passed on in the clear. Counts
/// the clients that do not trust the certificate.
async fn serve_tls(folder: &Path, to: &str) -> (Certificate, Arc<AtomicUsize>) {
    let regions: BTreeSet<_> = BUCKETS
        .iter()
        .map(|(_, region)| *region)
        .chain([HOME])
        .collect();
    let mut names = vec![format!("sts.{HOME}.amazonaws.com")];
    names.extend(
        regions
            .iter()
            .map(|region| format!("*.s3.{region}.amazonaws.com")),
    );
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let certificate = Certificate::generate(folder, &names).unwrap();

    let chain = CertificateDer::pem_file_iter(&certificate.certificate)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:443").await.unwrap();
    let (to, distrusted) = (to.to_owned(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&distrusted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, to, count) = (acceptor.clone(), to.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let accepted = acceptor.accept(stream).await;
                let mut client = accepted.inspect_err(|_| {
                    count.fetch_add(1, Ordering::SeqCst);
                })?;
                let mut server = TcpStream::connect(&to).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (certificate, distrusted)
}

fn host(seen: &Seen) -> &str {
    seen.headers["host"].to_str().unwrap()
}

/// Bucket, its own region and the region that was asked, of a request to a virtual host of S3.
fn asked(seen: &Seen) -> Option<(&'static str, &'static str, &str)> {
    let (name, rest) = host(seen).split_once(".s3.")?;
    let (bucket, own) = BUCKETS.into_iter().find(|(bucket, _)| *bucket == name)?;
    Some((bucket, own, rest.strip_suffix(".amazonaws.com")?))
}

/// As S3 does ("Making requests using virtual hosting", "HeadBucket"): the answer names the right
/// region.
fn redirect_to_the_buckets_region(seen: &Seen) -> Fault {
    match asked(seen) {
        Some((_, own, region)) if own != region => Fault::Respond {
            status: 301,
            headers: vec![("x-amz-bucket-region".to_owned(), own.to_owned())],
            body: match seen.method {
                http::Method::HEAD => Bytes::new(),
                _ => "<Error><Code>PermanentRedirect</Code></Error>".into(),
            },
        },
        _ => Fault::Forward,
    }
}

/// Every request but the question for the region went to the bucket's own host, signed for its
/// region, with the role's temporary credentials.
fn check_requests(proxy: &Proxy) {
    let mut asked_for_region = BTreeSet::new();
    let mut buckets = BTreeSet::new();
    for record in proxy.log() {
        let seen = &record.request;
        if host(seen).starts_with("sts.") {
            continue;
        }
        let (bucket, own, region) = asked(seen).unwrap();
        let authorization = seen.headers["authorization"].to_str().unwrap();
        assert!(
            authorization.contains(&format!("/{region}/s3/aws4_request")),
            "{authorization} to {}",
            host(seen)
        );
        assert!(
            seen.headers.contains_key("x-amz-security-token"),
            "not the role's credentials: {seen:?}"
        );
        buckets.insert(bucket);
        if region != own {
            assert!(
                seen.method == http::Method::HEAD && seen.path == "/",
                "{} {}",
                seen.method,
                seen.path
            );
            assert!(
                asked_for_region.insert(bucket),
                "the region of {bucket} was asked for twice"
            );
        }
    }
    assert_eq!(buckets, BUCKETS.iter().map(|(bucket, _)| *bucket).collect());
    assert_eq!(asked_for_region, buckets);
    let sts = proxy
        .log()
        .into_iter()
        .filter(|record| host(&record.request).starts_with("sts."))
        .count();
    assert_eq!(sts, 1, "the role is assumed once");
}

async fn check_archive(archived: &Archived) {
    let rows = archived.index().await;
    let mut found = Vec::new();
    for row in &rows {
        assert_eq!(row["outcome"], "archived", "{row:?}");
        found.push((row["key"].clone(), archived.bytes_of(row).await));
    }
    found.sort();
    let expected = [
        ("a/ö 1.jpg", "first"),
        ("a/ö 1.jpg", "second"),
        ("gone", "still here"),
        ("tagged", "x"),
    ];
    assert_eq!(
        found,
        expected.map(|(key, body)| (key.to_owned(), Bytes::from(body)))
    );
    let tagged = rows.iter().find(|row| row["key"] == "tagged").unwrap();
    assert_eq!(tagged["tags"], r#"{"album":"Crète"}"#);
    assert!(
        rows.iter().all(|row| !row["versionid"].is_empty()),
        "{rows:?}"
    );
    assert_eq!(
        archived.keys("receipts").await,
        ["over-tls/over-tls.000000~a4~c0~f0~b22"]
    );
    assert_eq!(
        client::list_open_uploads(&archived.s3, &archived.bucket)
            .await
            .unwrap(),
        []
    );
}
