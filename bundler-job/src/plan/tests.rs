use std::num::NonZeroU32;
use std::time::Duration;

use super::costs::Stored;
use super::groups::Totals;
use super::requests::{Basis, Class, Line, Operation, Place, Tariff};
use super::{duration, scaled_count, written};

fn line(place: Place, count: u64) -> Line {
    Line {
        place,
        operation: Operation::GetObject,
        tariff: Tariff::Get(Class::Sources),
        count,
        basis: Basis::Inventory,
        purpose: "",
    }
}

#[test]
fn a_run_takes_as_long_as_its_objects_or_its_limited_requests() {
    let lines = [line(Place::Source, 3_000), line(Place::Destination, 99_999)];
    let limit = NonZeroU32::new;
    for (rate, most, seconds) in [
        (100, None, 10),
        (100, limit(100), 30),
        (10, limit(100), 100),
        (999, None, 2),
    ] {
        let found = duration(1_000, &lines, rate, most);
        assert_eq!(found, Duration::from_secs(seconds), "{rate} {most:?}");
    }
}

#[test]
fn a_share_of_objects_is_rounded() {
    assert_eq!(scaled_count(1_000, 0.25), 250);
    assert_eq!(scaled_count(3, 0.5), 2);
    assert_eq!(scaled_count(1_000_000_000, 1.0), 1_000_000_000);
}

#[test]
fn what_stays_follows_from_the_groups() {
    let totals = Totals {
        groups: 3,
        archives: 2,
        rows: 300,
        packed: 300,
        tar: 1_000_000,
        manifest_bytes: 30_000,
        ..Totals::default()
    };
    let found = written(&totals, 0.5);
    assert_eq!(
        found.archives,
        Stored {
            objects: 2,
            bytes: 500_000
        }
    );
    assert_eq!(
        found.manifests,
        Stored {
            objects: 3,
            bytes: 30_000
        }
    );
    assert_eq!(found.indexes.objects, 2);
    assert!(found.indexes.bytes > 30_000);
    assert_eq!(written(&Totals::default(), 1.0).archives, Stored::default());
}
