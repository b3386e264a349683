//! Users, roles and policies on moto, and the switch that makes it enforce them. Least-privilege policies are tested by
//! setting up buckets first, then making a user with the policy under test, then calling [`Moto::enforce_iam`]. The few
//! form posts that this takes are written by hand: moto does not check signatures until it enforces.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

use super::{Access, Moto};

/// Why moto's IAM could not be set up.
#[derive(Debug, Error)]
pub enum IamError {
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
}

impl Moto {
    /// From now on every request must be signed by a user or role of moto's IAM whose policies allow it.
    pub async fn enforce_iam(&self) -> Result<(), IamError> {
        self.post("reset-auth", "/moto-api/reset-auth", "application/octet-stream", "0".to_owned()).await.map(|_| ())
    }

    /// Everybody may do everything again.
    pub async fn relax_iam(&self) -> Result<(), IamError> {
        self.post("reset-auth", "/moto-api/reset-auth", "application/octet-stream", "inf".to_owned()).await.map(|_| ())
    }

    /// A user with this inline policy (a JSON document), and the keys to act as that user.
    pub async fn user_with_policy(&self, user: &str, policy: &str) -> Result<Access, IamError> {
        self.iam(&[("Action", "CreateUser"), ("UserName", user)]).await?;
        self.iam(&[
            ("Action", "PutUserPolicy"),
            ("UserName", user),
            ("PolicyName", "policy"),
            ("PolicyDocument", policy),
        ])
        .await?;
        let keys = self.iam(&[("Action", "CreateAccessKey"), ("UserName", user)]).await?;
        let element = |name| element(&keys, name).ok_or_else(|| unexpected("CreateAccessKey", name, &keys));
        Ok(Access {
            access_key: element("AccessKeyId")?,
            secret_key: element("SecretAccessKey")?,
            ..self.access().clone()
        })
    }

    /// A role with this trust policy and inline policy (JSON documents); gives its ARN, to be assumed through STS.
    pub async fn role_with_policy(&self, role: &str, trust: &str, policy: &str) -> Result<String, IamError> {
        let created =
            self.iam(&[("Action", "CreateRole"), ("RoleName", role), ("AssumeRolePolicyDocument", trust)]).await?;
        self.iam(&[
            ("Action", "PutRolePolicy"),
            ("RoleName", role),
            ("PolicyName", "policy"),
            ("PolicyDocument", policy),
        ])
        .await?;
        element(&created, "Arn").ok_or_else(|| unexpected("CreateRole", "Arn", &created))
    }

    async fn iam(&self, parameters: &[(&str, &str)]) -> Result<String, IamError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", "2010-05-08")
            .extend_pairs(parameters)
            .finish();
        let action = parameters.first().map_or("IAM", |(_, action)| *action);
        self.post(action, "/", "application/x-www-form-urlencoded", body).await
    }

    async fn post(&self, action: &str, path: &str, content_type: &str, body: String) -> Result<String, IamError> {
        let no_answer = |message: String| IamError::NoAnswer { action: action.to_owned(), message };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.endpoint()))
            .header("content-type", content_type)
            // The credential scope is how moto tells its services apart.
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0",
            )
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| no_answer(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.map_err(|error| no_answer(error.to_string()))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| no_answer(error.to_string()))?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() { Ok(body) } else { Err(IamError::Refused { action: action.to_owned(), status, body }) }
    }
}

fn unexpected(action: &str, element: &'static str, body: &str) -> IamError {
    IamError::Unexpected { action: action.to_owned(), element, body: body.to_owned() }
}

/// The text of the first element of this name: enough for answers that moto writes on one line.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}
