//! Every version of objects that the API server shows, by `kubectl get --watch`.

use std::time::Duration;

use serde_json::Value;

use super::scene::Scene;
use super::{InteropError, wrong};
use crate::cli::Running;

/// Longer than any trial.
const LIFE: Duration = Duration::from_hours(2);

/// A watch, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Watch(Running);

impl Watch {
    /// Watches what `kubectl get` with these arguments lists.
    pub(super) fn start(scene: &Scene, arguments: &[&str]) -> Result<Self, InteropError> {
        let kubectl = scene.cluster.programs()[0].join("kubectl");
        let watch = scene.cluster.program(kubectl).arg("get");
        let watch = watch
            .args(arguments)
            .args(["--watch", "--output=json"])
            .timeout(LIFE);
        Ok(Self(watch.spawn()?))
    }

    /// Returns all versions so far, in the order in which the API server showed them.
    pub(super) fn objects(mut self) -> Result<Vec<Value>, InteropError> {
        if !self.0.is_running() {
            return Err(wrong(format!("a watch ended: {}", self.0.stderr())));
        }
        objects(&self.0.stdout())
    }
}

/// The JSON documents of a text. The last one may be cut off.
fn objects(text: &str) -> Result<Vec<Value>, InteropError> {
    let mut objects = Vec::new();
    for object in serde_json::Deserializer::from_str(text).into_iter() {
        match object {
            Ok(object) => objects.push(object),
            Err(error) if error.is_eof() => break,
            Err(source) => {
                let what = "a watch".to_owned();
                return Err(InteropError::Json { what, source });
            }
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests;
