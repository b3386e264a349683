//! Where a group of objects ends.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use s3bundler_contract::GroupOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::quantity;

/// Where a group ends: whichever comes first.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Group {
    /// Objects in a group, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_objects: i32,
    /// A group closes once its objects reach this size.
    #[schemars(schema_with = "quantity::schema")]
    pub max_size: Quantity,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            max_objects: 65_000,
            max_size: Quantity("4Gi".to_owned()),
        }
    }
}

impl Group {
    /// The same in the words of the contract. Fails where the size is none.
    pub fn options(&self) -> Result<GroupOptions, SpecError> {
        Ok(GroupOptions {
            max_objects: u64::from(self.max_objects.unsigned_abs()),
            max_size: quantity::read("spec.group.maxSize", &self.max_size)?,
        })
    }
}

#[cfg(test)]
mod tests;
