//! The client of the Kubernetes API.

use kube::client::ClientBuilder;
use kube::{Client, Config};

use crate::metrics::KubernetesRequests;

/// A client by the pod's service account or by KUBECONFIG, whose requests are counted.
pub async fn client(requests: &KubernetesRequests) -> Result<Client, kube::Error> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    Ok(ClientBuilder::try_from(config)?
        .with_layer(requests)
        .build())
}
