//! `ArchiveRun`, the one resource that people write: an inventory, a destination, and how to get
//! from one to the other.
//!
//! ```text
//! source ──► group ──► queue ──► workers ──► archive ──► destination          status: what became of it
//!                └ grouper          └ scratch, pod_template
//! ```
//!
//! The types are permissive, as the API server hands them out; [`Source::origin`],
//! [`Source::select`], [`Group::options`] and [`Archive::options`] read them strictly, in the words
//! of the contract. Doc comments of fields are their descriptions in the CustomResourceDefinition,
//! which [`crd`] makes: rules that look at one object stand at its type, those that compare with
//! the object's former self in `rule.rs`. Whatever the schema accepts, these types can read, or one
//! strange object would blind the operator to all others.

mod archive;
mod definition;
mod destination;
mod error;
mod failure_limit;
mod group;
mod grouper;
mod pod_template;
mod quantity;
mod queue;
mod rule;
mod run;
mod schema;
mod scratch;
mod source;
mod status;
mod verify;
mod workers;

pub use archive::{Archive, ArchiveFormat};
pub use definition::crd;
pub use destination::{Destination, Encryption, EncryptionType, KeyLayout};
pub use error::{QuantityError, SpecError};
pub use failure_limit::{CountOrPercent, FailureLimit};
pub use group::Group;
pub use grouper::{Grouper, GrouperScratch};
pub use pod_template::{PodMetadata, PodPlacement, PodTemplate};
pub use queue::{Delivery, ExistingQueue, Queue, QueueType};
pub use run::{ArchiveRun, ArchiveRunSpec, FailurePolicy, Retry, SecretRef};
pub use scratch::{EphemeralScratch, HostPathScratch, Scratch, ScratchType};
pub use source::{
    GlacierObjects, Inventory, LatestInventory, Manifests, Origin, RequestPayer, Source, Versions,
};
pub use status::{
    ArchiveRunStatus, ByteCounts, FailureCount, GroupCounts, InventoryStatus, NotificationState,
    NotificationStatus, ObjectCounts, QueueStatus, RateStatus, VerifyStatus, WaitingStatus,
    WorkerStatus,
};
pub use verify::Verify;
pub use workers::{AuthenticationKind, AuthenticationRef, Keda, Scaling, ScalingMode, Workers};
