//! Control of moto: users, roles and policies, the switch that enforces them, and the end of
//! visibility timeouts. Least-privilege policies are tested by setting up buckets
//! first, then making a user with the policy under test, then calling [`Moto::enforce_iam`]; what
//! was allowed by what, and what was denied, is in [`Moto::decisions`]. The few posts that this
//! takes are written by hand: moto never checks signatures of requests to IAM.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::sleep;

use super::policy::Permission;
use super::{Access, Moto};

/// AWS's own AdministratorAccess.
const ADMINISTRATOR: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Tries of a request that moto does not answer.
const TRIES: u32 = 10;
/// Time between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a control request to moto failed.
#[derive(Debug, Error)]
pub enum MotoError {
    /// The request could not be made.
    #[error("{action}: {message}")]
    NoAnswer {
        /// The API action.
        action: String,
        /// What went wrong.
        message: String,
    },
    /// Moto refused.
    #[error("{action}: moto answered {status}: {body}")]
    Refused {
        /// The API action.
        action: String,
        /// The HTTP status.
        status: StatusCode,
        /// Its answer.
        body: String,
    },
    /// The answer lacks an element.
    #[error("{action}: no <{element}> in {body}")]
    Unexpected {
        /// The API action.
        action: String,
        /// The XML element looked for.
        element: &'static str,
        /// Moto's answer.
        body: String,
    },
    /// What it decided cannot be read.
    #[error("decisions: {0}")]
    Decisions(std::io::Error),
}

/// What moto decided about an action, and on what ground.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// ARN of the user or of the assumed role.
    pub who: String,
    /// The action.
    pub action: String,
    /// ARN of what it was to be done to.
    pub resource: String,
    /// What allowed it. `None`: it was denied.
    pub by: Option<Permission>,
}

impl Decision {
    /// Whether it is about a user or role of this name.
    pub fn is_of(&self, name: &str) -> bool {
        self.who.split('/').nth(1) == Some(name)
    }
}

impl Moto {
    /// From now on every request must be signed by a user or role of moto's IAM whose policies
    /// allow it.
    pub async fn enforce_iam(&self) -> Result<(), MotoError> {
        self.post(
            "reset-auth",
            "/moto-api/reset-auth",
            "application/octet-stream",
            "0".to_owned(),
        )
        .await
        .map(|_| ())
    }

    /// Everybody may do everything again.
    pub async fn relax_iam(&self) -> Result<(), MotoError> {
        self.post(
            "reset-auth",
            "/moto-api/reset-auth",
            "application/octet-stream",
            "inf".to_owned(),
        )
        .await
        .map(|_| ())
    }

    /// A user who may do everything, for tests that go on while IAM is enforced.
    pub async fn administrator(&self) -> Result<Access, MotoError> {
        self.user_with_policy("administrator", ADMINISTRATOR).await
    }

    /// A user with this inline policy (a JSON document), and the keys to act as that user.
    pub async fn user_with_policy(&self, user: &str, policy: &str) -> Result<Access, MotoError> {
        self.user_with_policies(user, &[policy]).await
    }

    /// A user with these inline policies.
    pub async fn user_with_policies(
        &self,
        user: &str,
        policies: &[&str],
    ) -> Result<Access, MotoError> {
        self.iam(&[("Action", "CreateUser"), ("UserName", user)])
            .await?;
        for (n, policy) in policies.iter().enumerate() {
            let name = format!("policy-{n}");
            self.put_user_policy(user, &name, policy).await?;
        }
        let keys = self
            .iam(&[("Action", "CreateAccessKey"), ("UserName", user)])
            .await?;
        let element =
            |name| element(&keys, name).ok_or_else(|| unexpected("CreateAccessKey", name, &keys));
        Ok(Access {
            access_key: element("AccessKeyId")?,
            secret_key: element("SecretAccessKey")?,
            ..self.access().clone()
        })
    }

    /// Gives a user another inline policy.
    pub async fn put_user_policy(
        &self,
        user: &str,
        name: &str,
        policy: &str,
    ) -> Result<(), MotoError> {
        let put = [
            ("UserName", user),
            ("PolicyName", name),
            ("PolicyDocument", policy),
        ];
        self.iam(&[&[("Action", "PutUserPolicy")], &put[..]].concat())
            .await
            .map(|_| ())
    }

    /// Gives a user tags, which policies call `aws:PrincipalTag/…`.
    pub async fn tag_user(&self, user: &str, tags: &[(&str, &str)]) -> Result<(), MotoError> {
        let names = (1..=tags.len())
            .map(|n| ["Key", "Value"].map(|part| format!("Tags.member.{n}.{part}")));
        let names: Vec<_> = names.collect();
        let mut parameters = vec![("Action", "TagUser"), ("UserName", user)];
        for ([key, value], tag) in names.iter().zip(tags) {
            parameters.extend([(key.as_str(), tag.0), (value.as_str(), tag.1)]);
        }
        self.iam(&parameters).await.map(|_| ())
    }

    /// A role with this trust policy and inline policy (JSON documents); gives its ARN, to be
    /// assumed through STS.
    pub async fn role_with_policy(
        &self,
        role: &str,
        trust: &str,
        policy: &str,
    ) -> Result<String, MotoError> {
        self.role_with_policies(role, trust, &[policy]).await
    }

    /// A role with these inline policies. While IAM is enforced, only a web identity token whose
    /// claims the trust policy names becomes it.
    pub async fn role_with_policies(
        &self,
        role: &str,
        trust: &str,
        policies: &[&str],
    ) -> Result<String, MotoError> {
        let created = self
            .iam(&[
                ("Action", "CreateRole"),
                ("RoleName", role),
                ("AssumeRolePolicyDocument", trust),
            ])
            .await?;
        for (n, policy) in policies.iter().enumerate() {
            let name = format!("policy-{n}");
            let put = [
                ("RoleName", role),
                ("PolicyName", name.as_str()),
                ("PolicyDocument", *policy),
            ];
            self.iam(&[&[("Action", "PutRolePolicy")], &put[..]].concat())
                .await?;
        }
        element(&created, "Arn").ok_or_else(|| unexpected("CreateRole", "Arn", &created))
    }

    /// All decisions so far, in their order. None are made before IAM is enforced.
    pub fn decisions(&self) -> Result<Vec<Decision>, MotoError> {
        let text = fs::read_to_string(self.decisions_file()).map_err(MotoError::Decisions)?;
        let lines = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>();
        lines.map_err(|error| MotoError::Decisions(error.into()))
    }

    async fn iam(&self, parameters: &[(&str, &str)]) -> Result<String, MotoError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", "2010-05-08")
            .extend_pairs(parameters)
            .finish();
        let action = parameters.first().map_or("IAM", |(_, action)| *action);
        self.post(action, "/", "application/x-www-form-urlencoded", body)
            .await
    }

    /// Makes all received messages of a queue visible again, as if their visibility timeouts had
    /// passed. A queue that does not exist any more has none.
    pub async fn end_visibility(&self, queue: &str) -> Result<(), MotoError> {
        let (action, path) = ("end-visibility", "/moto-api/end-visibility");
        let mut tries = 1..=TRIES;
        loop {
            let ended = self.post(action, path, "application/octet-stream", queue.to_owned());
            match ended.await {
                // To ask once more does no harm.
                Err(MotoError::NoAnswer { .. }) if tries.next().is_some() => sleep(PAUSE).await,
                Err(MotoError::Refused { status, .. }) if status == StatusCode::NOT_FOUND => {
                    return Ok(());
                }
                ended => return ended.map(|_| ()),
            }
        }
    }

    async fn post(
        &self,
        action: &str,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<String, MotoError> {
        let no_answer = |message: String| MotoError::NoAnswer {
            action: action.to_owned(),
            message,
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.endpoint()))
            .header("content-type", content_type)
            // The credential scope is how moto tells its services apart.
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/iam/aws4_request, \
                 SignedHeaders=host, Signature=0",
            )
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| no_answer(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client
            .request(request)
            .await
            .map_err(|error| no_answer(error.to_string()))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| no_answer(error.to_string()))?
            .to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            Ok(body)
        } else {
            Err(MotoError::Refused {
                action: action.to_owned(),
                status,
                body,
            })
        }
    }
}

fn unexpected(action: &str, element: &'static str, body: &str) -> MotoError {
    MotoError::Unexpected {
        action: action.to_owned(),
        element,
        body: body.to_owned(),
    }
}

/// The text of the first element of this name: enough for answers that moto writes on one line.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}
