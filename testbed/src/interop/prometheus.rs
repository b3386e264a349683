//! A Prometheus on this machine, which is on the cluster's network: it scrapes pods at their own
//! addresses, by the PodMonitors of the chart, and evaluates the alerts of its PrometheusRule.
//!
//! ```text
//! kubectl get pods, every second ──► targets.json ────┐
//! PodMonitors ────────────────────► prometheus.yaml ─┼─► prometheus ──► queries
//! PrometheusRule, `for` shortened ► rules.yaml ──────┘
//! ```

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::scene::{RELEASE, Scene, install, until};
use super::{InteropError, say, scrape, with_path, wrong};
use crate::cli::{Program, Running};
use crate::install::Recipe;
use crate::servers::Port;

/// How long an alert of the trial is pending. Those of the chart have minutes to days.
pub(super) const PENDING: &str = "10s";
/// The last line that it logs when it starts.
const READY: &str = "Server is ready to receive web requests";
/// Time between two lists of pods.
const DISCOVERY: Duration = Duration::from_secs(1);
/// Longer than any trial.
const LIFE: Duration = Duration::from_hours(2);
const ANSWER: Duration = Duration::from_secs(30);

/// An alert that is pending or fires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) run: String,
}

impl Alert {
    pub(super) fn new(name: &str, namespace: &str, run: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            run: run.to_owned(),
        }
    }
}

/// A running Prometheus, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Prometheus {
    port: Port,
    _server: Running,
    discovery: JoinHandle<()>,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.discovery.abort();
    }
}

impl Prometheus {
    /// Starts one, and returns when it scrapes the operator.
    pub(super) async fn start(scene: &Scene) -> Result<Self, InteropError> {
        let program = install(Recipe::Prometheus)
            .await?
            .join("usr/bin/prometheus");
        let outcome = scene
            .cluster
            .program(&program)
            .arg("--version")
            .run()
            .await?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let version = said.lines().next().unwrap_or_default();
        say(&format!("Starting {version}"));
        let folder = scene.cluster.folder().join("prometheus");
        std::fs::create_dir(&folder).map_err(with_path(&folder))?;
        let write = |name: &str, content: &Value| {
            let path = folder.join(name);
            std::fs::write(&path, content.to_string()).map_err(with_path(&path))?;
            Ok::<_, InteropError>(path)
        };
        let mut rules = scene
            .get(&["prometheusrules", "--namespace", RELEASE])
            .await?;
        let mut rules = rules["items"][0]["spec"].take();
        let alerts = hasten(&mut rules);
        let monitors = scene.get(&["podmonitors", "--namespace", RELEASE]).await?;
        let monitors = monitors["items"].as_array().cloned().unwrap_or_default();
        // JSON is YAML.
        let rules = write("rules.yaml", &rules)?;
        let targets = folder.join("targets.json");
        let configuration = scrape::configuration(&monitors, &targets, &rules);
        let configuration = write("prometheus.yaml", &configuration)?;
        println!(
            "    {} PodMonitors and {alerts} alerts of the chart, with `for: {PENDING}`",
            monitors.len()
        );
        let port = Port::free(Ipv4Addr::LOCALHOST.into()).map_err(with_path(&folder))?;
        let server = scene.cluster.program(&program).args([
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{}", port.number()),
        ]);
        let server = server.timeout(LIFE).spawn()?;
        server.wait_for_output(READY).await?;
        let kubectl = scene.cluster.programs()[0].join("kubectl");
        let get = ["get", "pods", "--all-namespaces", "--output=json"];
        let pods = scene.cluster.program(kubectl).args(get);
        let prometheus = Self {
            port,
            _server: server,
            discovery: tokio::spawn(discover(pods, targets)),
        };
        until("Prometheus scrapes the operator", async || {
            let leaders = prometheus.query("s3bundler_leader == 1").await?;
            Ok((!leaders.is_empty()).then_some(()))
        })
        .await?;
        Ok(prometheus)
    }

    /// The time series that a query returns now.
    pub(super) async fn query(&self, query: &str) -> Result<Vec<Value>, InteropError> {
        self.ask("query", &[("query", query)]).await
    }

    /// The time series that a query returns at any time since then, in steps of 2 s.
    pub(super) async fn query_since(
        &self,
        query: &str,
        since: SystemTime,
    ) -> Result<Vec<Value>, InteropError> {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_secs().to_string()
        };
        let (start, end) = (seconds(since), seconds(SystemTime::now()));
        let range = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", "2"),
        ];
        self.ask("query_range", &range).await
    }

    /// The alerts that fire.
    pub(super) async fn firing(&self) -> Result<BTreeSet<Alert>, InteropError> {
        let firing = self.query(r#"ALERTS{alertstate="firing"}"#).await?;
        let label = |series: &Value, name: &str| {
            let label = series["metric"][name].as_str();
            label.unwrap_or_default().to_owned()
        };
        Ok(firing
            .iter()
            .map(|series| Alert {
                name: label(series, "alertname"),
                namespace: label(series, "namespace"),
                run: label(series, "run"),
            })
            .collect())
    }

    async fn ask(
        &self,
        what: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Value>, InteropError> {
        let encoded: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let port = self.port.number();
        let url = format!(
            "http://127.0.0.1:{port}/api/v1/{what}?{}",
            encoded.join("&")
        );
        let asked = tokio::time::timeout(ANSWER, get(&url)).await;
        let text = asked.map_err(|_| no_answer(format!("no answer to {url}")))??;
        let mut answer: Value = serde_json::from_slice(&text).map_err(|source| {
            let what = format!("Prometheus' answer to {url}");
            InteropError::Json { what, source }
        })?;
        match answer["data"]["result"].take() {
            Value::Array(series) => Ok(series),
            _ => Err(no_answer(format!("{url}: {answer}"))),
        }
    }
}

/// Writes the targets of all pods every second.
async fn discover(pods: Program, targets: PathBuf) {
    let new = targets.with_extension("new");
    loop {
        // A list that fails is repeated a second later.
        if let Ok(outcome) = pods.clone().run().await
            && let Ok(pods) = serde_json::from_str(&outcome.stdout)
        {
            let text = scrape::targets(&pods).to_string();
            let _ = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &targets));
        }
        sleep(DISCOVERY).await;
    }
}

async fn get(url: &str) -> Result<Bytes, InteropError> {
    let request = Request::get(url).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| no_answer(format!("{url}: {error}")))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await;
    let response = response.map_err(|error| no_answer(format!("{url}: {error}")))?;
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| no_answer(format!("{url}: {error}")))?;
    Ok(body.to_bytes())
}

fn no_answer(why: String) -> InteropError {
    InteropError::Prometheus(why)
}

/// Shortens how long alerts are pending; returns the number of alerts. Their expressions stay as
/// they are.
fn hasten(rules: &mut Value) -> usize {
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    let rules = groups.filter_map(|group| group["rules"].as_array_mut());
    rules
        .flatten()
        .filter_map(Value::as_object_mut)
        .map(|rule| {
            if let Some(pending) = rule.get_mut("for") {
                *pending = PENDING.into();
            }
        })
        .count()
}

/// An error if other alerts fire than these.
pub(super) fn compare(
    fired: &BTreeSet<Alert>,
    wanted: &BTreeSet<Alert>,
) -> Result<(), InteropError> {
    let others: Vec<_> = fired.difference(wanted).collect();
    let missing: Vec<_> = wanted.difference(fired).collect();
    if others.is_empty() && missing.is_empty() {
        return Ok(());
    }
    Err(wrong(format!(
        "alerts that fired and should not: {others:?}; that did not fire and should: {missing:?}"
    )))
}

#[cfg(test)]
mod tests;
