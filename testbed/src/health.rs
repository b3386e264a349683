//! The health that Argo CD and Flux derive from the status of an ArchiveRun: their expressions in
//! deploy/examples, evaluated with Lua and CEL.

use cel::{Context, Program};
use mlua::{Lua, LuaSerdeExt as _, Table};
use serde_json::Value;
use thiserror::Error;

const ARGO_CD: &str = include_str!("../../deploy/examples/argocd.yaml");
const FLUX: &str = include_str!("../../deploy/examples/flux.yaml");
/// The key of Argo CD's script in its ConfigMap.
const SCRIPT: &str = "resource.customizations.health.archive.s3bundler.dev_ArchiveRun";

/// An example, or what it makes of a run, is not what Argo CD or Flux can use.
#[derive(Debug, Error)]
pub enum HealthError {
    /// An example is not YAML.
    #[error("{example}: {cause}")]
    Yaml {
        /// The file in deploy/examples.
        example: &'static str,
        /// Why.
        cause: String,
    },
    /// An example lacks a text.
    #[error("{example} has no {missing}")]
    Missing {
        /// The file in deploy/examples.
        example: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
    /// Argo CD's script failed.
    #[error("Argo CD's script: {0}")]
    Lua(#[from] mlua::Error),
    /// An expression of Flux failed.
    #[error("Flux' expression `{name}`: {cause}")]
    Cel {
        /// `current` or `failed`.
        name: &'static str,
        /// Why.
        cause: String,
    },
}

/// Argo CD's health: a status and a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArgoCdHealth {
    /// `Progressing`, `Suspended`, `Healthy` or `Degraded`.
    pub status: String,
    /// What Argo CD shows beside it.
    pub message: String,
}

/// Returns the health that Argo CD's script in argocd.yaml gives an ArchiveRun.
pub fn argo_cd(run: &Value) -> Result<ArgoCdHealth, HealthError> {
    let config_map = last_document("argocd.yaml", ARGO_CD)?;
    let script = text("argocd.yaml", &config_map["data"][SCRIPT], "health script")?;
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(run)?)?;
    let health: Table = lua.load(script).eval()?;
    Ok(ArgoCdHealth {
        status: health.get("status")?,
        message: health.get("message")?,
    })
}

/// Returns the status that Flux' `healthCheckExprs` in flux.yaml give an ArchiveRun: `Failed`,
/// `Current` or `InProgress`.
pub fn flux(run: &Value) -> Result<&'static str, HealthError> {
    let kustomization = last_document("flux.yaml", FLUX)?;
    let checks = &kustomization["spec"]["healthCheckExprs"][0];
    // In this order ("Health check expressions", Flux documentation): a run that is neither is
    // waited for.
    for (name, status) in [("failed", "Failed"), ("current", "Current")] {
        let failed = |cause: String| HealthError::Cel { name, cause };
        let expression = text("flux.yaml", &checks[name], name)?;
        let mut context = Context::default();
        context
            .add_variable("status", &run["status"])
            .map_err(|error| failed(error.to_string()))?;
        let program = Program::compile(expression).map_err(|error| failed(error.to_string()))?;
        match program.execute(&context) {
            Ok(cel::Value::Bool(true)) => return Ok(status),
            Ok(cel::Value::Bool(false)) => {}
            Ok(other) => return Err(failed(format!("{other:?} is not a Boolean"))),
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    Ok("InProgress")
}

fn last_document(example: &'static str, yaml: &str) -> Result<Value, HealthError> {
    let last = yaml.rsplit("\n---\n").next().unwrap_or_default();
    serde_saphyr::from_str(last).map_err(|error| HealthError::Yaml {
        example,
        cause: error.to_string(),
    })
}

fn text<'a>(
    example: &'static str,
    value: &'a Value,
    missing: &'static str,
) -> Result<&'a str, HealthError> {
    value
        .as_str()
        .ok_or(HealthError::Missing { example, missing })
}
