//! What is easily forgotten until the bill comes: each with its price, if it has one.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;

use super::costs::{Now, Stored, Target, Written, small};
use super::money::Usd;
use super::prices::PriceList;
use super::profile::{Kms, Profile};
use super::requests::{Class, Line, Operation, Place, Tariff};

/// Something that is easily forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Forgotten {
    pub(crate) what: &'static str,
    /// `None` if it costs nothing by itself.
    pub(crate) usd: Option<Usd>,
    pub(crate) text: String,
}

/// All that it follows from.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) lines: &'a [Line],
    pub(crate) profile: &'a Profile,
    pub(crate) written: &'a Written,
    pub(crate) now: &'a Now,
    /// The class that is planned.
    pub(crate) target: &'a Target,
    pub(crate) prices: &'a PriceList,
    /// Whether the rows say how objects are encrypted.
    pub(crate) knows_encryption: bool,
    /// Whether a key of KMS encrypts what is written.
    pub(crate) writes_with_kms: bool,
    /// Bytes that go from the source to the program, and from there to the destination.
    pub(crate) transferred: u128,
    pub(crate) duration: Duration,
    pub(crate) objects: u64,
}

/// The list, in the order of a run.
pub(crate) fn forgotten(facts: &Facts<'_>) -> Vec<Forgotten> {
    let mut list = vec![cloudtrail(facts), kms(facts), nat(facts), tags(facts)];
    list.extend(minimum_sizes(facts));
    list.extend([
        both_copies(facts),
        minimum_duration(facts),
        early_deletion(facts),
        lifecycle(facts),
        verify_full(facts),
        restore(facts),
    ]);
    list
}

fn requests(lines: &[Line], of: impl Fn(&Line) -> bool) -> u64 {
    lines
        .iter()
        .filter(|line| of(line))
        .map(|line| line.count)
        .sum()
}

fn bytes(bytes: u128) -> BinaryBytes {
    BinaryBytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn cloudtrail(facts: &Facts<'_>) -> Forgotten {
    let events = requests(facts.lines, |line| {
        line.place != Place::Queue && line.operation != Operation::HeadBucket
    });
    Forgotten {
        what: "CloudTrail data events",
        usd: Some(facts.prices.services.cloudtrail.of(events, 100_000)),
        text: format!(
            "if a trail records data events of all buckets: {} events; leave the run's role out of \
             its selectors",
            HumanCount(events)
        ),
    }
}

fn kms(facts: &Facts<'_>) -> Forgotten {
    let price = |requests: u64| facts.prices.services.kms.of(requests, 10_000);
    let Kms {
        objects,
        without_bucket_key,
    } = facts.profile.kms;
    let written = requests(facts.lines, |line| {
        line.place == Place::Destination
            && matches!(line.tariff, Tariff::Put(_) | Tariff::Part(_))
            && !matches!(
                line.operation,
                Operation::ListObjectsV2 | Operation::ListMultipartUploads
            )
    });
    let writes = if facts.writes_with_kms { written } else { 0 };
    let sources = if facts.knows_encryption {
        without_bucket_key
    } else {
        facts.objects
    };
    let sources_text = if facts.knows_encryption {
        format!(
            "{} of {} sources under a KMS key have no S3 Bucket Key: one Decrypt each",
            HumanCount(without_bucket_key),
            HumanCount(objects)
        )
    } else {
        "if all sources are under a KMS key without an S3 Bucket Key: one Decrypt each (the \
         inventory has no EncryptionStatus and BucketKeyStatus)"
            .to_owned()
    };
    let destination = if facts.writes_with_kms {
        format!(
            "; the destination needs up to {} more unless its bucket has a Bucket Key",
            HumanCount(written)
        )
    } else {
        String::new()
    };
    Forgotten {
        what: "KMS without bucket keys",
        usd: Some(price(sources + writes)),
        text: format!("{sources_text}{destination}"),
    }
}

fn nat(facts: &Facts<'_>) -> Forgotten {
    let services = facts.prices.services;
    let hours = facts.duration.as_secs().div_ceil(60 * 60);
    Forgotten {
        what: "NAT gateway",
        usd: Some(services.nat_data.of_bytes(facts.transferred) + services.nat_hour.of(hours, 1)),
        text: format!(
            "if workers reach S3 through one: {} in both directions for {hours} h; a gateway \
             endpoint for S3 costs nothing",
            bytes(facts.transferred)
        ),
    }
}

fn tags(facts: &Facts<'_>) -> Forgotten {
    let line = Line {
        place: Place::Source,
        operation: Operation::GetObjectTagging,
        tariff: Tariff::Get(Class::Sources),
        count: facts.objects,
        basis: super::requests::Basis::Assumed,
        purpose: "",
    };
    Forgotten {
        what: "tags",
        usd: Some(super::costs::of_sources_alone(
            &line,
            facts.profile,
            facts.prices,
        )),
        text: "if every object has tags: a second request for each of them".to_owned(),
    }
}

/// What minimum sizes and overhead of the sources' classes cost now.
fn minimum_sizes(facts: &Facts<'_>) -> Option<Forgotten> {
    let mut more = 0;
    let mut classes = Vec::new();
    let mut usd = Usd::ZERO;
    for class in &facts.now.classes {
        let added = class.billed_bytes - class.stored.bytes;
        if added > 0 {
            more += added;
            classes.push(class.class.as_str());
            if let Some(prices) = facts.prices.class(&class.class) {
                usd += prices.storage.of_bytes(added);
            }
        }
    }
    (more > 0).then(|| Forgotten {
        what: "minimum sizes and overhead",
        usd: Some(usd),
        text: format!(
            "a month now, for {} that {} bill beside the objects' own bytes",
            bytes(more),
            classes.join(", ")
        ),
    })
}

fn both_copies(facts: &Facts<'_>) -> Forgotten {
    Forgotten {
        what: "originals and archives",
        usd: Some(facts.now.monthly + facts.target.monthly),
        text: "for each month in which both are kept".to_owned(),
    }
}

fn minimum_duration(facts: &Facts<'_>) -> Forgotten {
    let Target {
        class,
        monthly,
        min_days,
        ..
    } = facts.target;
    if *min_days == 0 {
        return Forgotten {
            what: "minimum duration of archives",
            usd: None,
            text: format!("{class} has none"),
        };
    }
    Forgotten {
        what: "minimum duration of archives",
        usd: Some(super::costs::days(*monthly, *min_days)),
        text: format!("archives in {class} are billed for {min_days} days, also if deleted before"),
    }
}

fn early_deletion(facts: &Facts<'_>) -> Forgotten {
    let objects: u64 = facts.now.classes.iter().map(|it| it.early_objects).sum();
    let undated = facts.profile.undated;
    let unknown = if undated > 0 {
        format!("; {} objects have no date", HumanCount(undated))
    } else {
        String::new()
    };
    Forgotten {
        what: "early deletion of originals",
        usd: Some(facts.now.early_deletion),
        text: format!(
            "if they are deleted today: {} are younger than the minimum duration of their class \
             (more if a lifecycle rule moved them there later){unknown}",
            HumanCount(objects)
        ),
    }
}

fn lifecycle(facts: &Facts<'_>) -> Forgotten {
    let Stored { objects, bytes: of } = small(facts.profile);
    Forgotten {
        what: "lifecycle rules instead",
        usd: None,
        text: format!(
            "rules leave objects below 128 KiB where they are unless they name a size: {} objects, \
             {}",
            HumanCount(objects),
            bytes(of)
        ),
    }
}

fn verify_full(facts: &Facts<'_>) -> Forgotten {
    let read = facts.target.read_back;
    let text = match (read.thaw, read.bulk_thaw) {
        (Some(thaw), Some(bulk)) => format!(
            "{}, and a restore of every archive before it: {thaw} (bulk: {bulk})",
            read.read
        ),
        (Some(thaw), None) => format!("{}, and a restore of every archive: {thaw}", read.read),
        (None, _) => "reads every archive; no restore is needed".to_owned(),
    };
    Forgotten {
        what: "verify --full",
        usd: Some(read.read + read.thaw.unwrap_or(Usd::ZERO)),
        text,
    }
}

fn restore(facts: &Facts<'_>) -> Forgotten {
    let read = facts.target.read_back;
    let archives = facts.written.archives.objects + facts.written.copies.objects;
    Forgotten {
        what: "a whole restore",
        usd: Some(read.read + read.thaw.unwrap_or(Usd::ZERO) + read.put),
        text: format!(
            "back to S3 STANDARD: {} archives and copies read, and a PUT for each object ({})",
            HumanCount(archives),
            read.put
        ),
    }
}

#[cfg(test)]
mod tests;
