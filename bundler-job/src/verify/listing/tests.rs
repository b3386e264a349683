use s3bundler_contract::{KeyLayout, Layout, RunSummary};

use super::*;

fn destination() -> Destination {
    Destination {
        bucket: "dst".to_owned(),
        layout: Layout::new("p", KeyLayout::Hashed).expect("a prefix"),
    }
}

fn run() -> RunName {
    "run".parse().expect("a name")
}

fn listing(keys: &[&str]) -> Listing {
    let mut listing = Listing::default();
    for key in keys {
        let object = Listed {
            storage_class: None,
            key: format!("p/{key}"),
            size: 1,
            etag: "e".to_owned(),
            modified: None,
        };
        let place = match key.split('/').next() {
            Some("groups") => Listing::place_group,
            Some("catalog") => Listing::place_catalog,
            Some("runs") => Listing::place_summary,
            _ => Listing::place_receipt,
        };
        place(&mut listing, &destination(), &run(), &object);
    }
    listing
}

fn planned(keys: &[&str], groups: Option<u64>) -> (Vec<String>, Vec<String>) {
    let summaries: Vec<_> = groups.map(|groups| (0, groups)).into_iter().collect();
    let (tasks, findings, _) = planned_passes(keys, &summaries);
    (tasks, findings)
}

fn planned_passes(keys: &[&str], groups: &[(u32, u64)]) -> (Vec<String>, Vec<String>, Vec<u32>) {
    let summary = |(pass, groups): &(u32, u64)| RunSummary {
        groups: *groups,
        ..RunSummary::of_pass(run(), *pass)
    };
    planned_with(keys, &Accounts::of(groups.iter().map(summary)))
}

fn planned_with(keys: &[&str], accounts: &Accounts) -> (Vec<String>, Vec<String>, Vec<u32>) {
    let Plan {
        tasks,
        findings,
        torn,
    } = plan(listing(keys), accounts, &destination(), &run());
    let told = |finding: &Finding| {
        let json = serde_json::to_value(finding).expect("plain fields");
        let object = ["manifest", "catalog", "receipt"]
            .iter()
            .find_map(|it| json.get(it)?.as_str());
        let file = object
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        format!("{} {file}", json["finding"].as_str().unwrap_or_default())
    };
    let tasks = tasks
        .iter()
        .map(|task| format!("{} {:?}", task.group, task.role))
        .collect();
    (
        tasks,
        findings.iter().map(told).collect(),
        torn.into_iter().filter_map(Stage::pass).collect(),
    )
}

const WHOLE: [&str; 3] = [
    "groups/run/run.000000.index",
    "catalog/run=run/run.000000.parquet",
    "receipts/run/run.000000~a1~c0~f0~b1",
];

#[test]
fn a_whole_run_has_nothing_to_find() {
    let keys = [&WHOLE[..], &["groups/run/run.000000.index.dlq"]].concat();
    assert_eq!(
        planned(&keys, Some(1)),
        (vec!["run.000000 Own(Pass(0))".to_owned()], vec![])
    );
    assert_eq!(
        planned(&keys, None).1,
        Vec::<String>::new(),
        "an unfinished grouping counts nothing yet"
    );
    assert!(listing(&keys).groups[&GroupName::numbered(&run(), 0)].dead_letters);
}

#[test]
fn names_too_few_and_too_many_are_told() {
    for (added, groups, findings) in [
        (
            &[][..],
            2,
            &["noManifest run.000001.index", "noCatalog run.000001.index"][..],
        ),
        (
            &["groups/run/run.000001.index"],
            2,
            &["noCatalog run.000001.index"],
        ),
        (
            &["catalog/run=run/run.000001.parquet"],
            2,
            &["noManifest run.000001.index"],
        ),
        (
            &[
                "receipts/run/run.000001~a1~c0~f0~b1",
                "groups/run/run.000001.index",
            ],
            2,
            &[
                "strayReceipt run.000001~a1~c0~f0~b1",
                "noCatalog run.000001.index",
            ],
        ),
        (
            &["groups/run/run.000001.index"],
            1,
            &[
                "strayManifest run.000001.index",
                "noCatalog run.000001.index",
            ],
        ),
        (&["groups/run/x"], 1, &["strayManifest x"]),
        (&["catalog/run=run/x.csv"], 1, &["strayCatalog x.csv"]),
        (&["receipts/run/x"], 1, &["strayReceipt x"]),
        (
            &["groups/run/run.retry1.000000.index"],
            1,
            &["noCatalog run.retry1.000000.index"],
        ),
    ] {
        let keys = [&WHOLE[..], added].concat();
        assert_eq!(planned(&keys, Some(groups)).1, findings, "{added:?}");
    }
}

#[test]
fn retries_and_foreign_groups_are_no_rows_of_the_inventory() {
    let keys = [
        &WHOLE[..],
        &[
            "groups/run/run.retry1.000000.index",
            "catalog/run=run/run.retry1.000000.parquet",
            "catalog/run=run/x.index.01234567.parquet",
        ],
    ]
    .concat();
    let (tasks, findings) = planned(&keys, Some(1));
    assert_eq!(
        tasks,
        [
            "run.000000 Own(Pass(0))",
            "run.retry1.000000 Own(Pass(1))",
            "x.index.01234567 Added"
        ]
    );
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn a_hash_that_looks_like_a_number_is_one_if_the_summary_or_a_manifest_says_so() {
    for name in ["run.a1234567", "run.retry1.a1234567", "run.redo1.a1234567"] {
        let catalog = format!("catalog/run=run/{name}.parquet");
        assert_eq!(
            planned(&[&catalog], None),
            (vec![format!("{name} Added")], vec![]),
            "{name}"
        );
        assert!(!listing(&[&catalog]).has_own(&run()), "{name}");
        let manifest = format!("groups/run/{name}.index");
        let (tasks, findings) = planned(&[&catalog, &manifest], None);
        assert!(
            tasks[0].starts_with(&format!("{name} Own(")) && findings.is_empty(),
            "{tasks:?} {findings:?}"
        );
        assert!(listing(&[&catalog, &manifest]).has_own(&run()), "{name}");
    }
    let beside = [&WHOLE[..], &["catalog/run=run/run.a1234567.parquet"]].concat();
    assert_eq!(planned(&beside, Some(1)).1, Vec::<String>::new());
}

/// A whole retry pass of one group.
const RETRIED: [&str; 3] = [
    "groups/run/run.retry1.000000.index",
    "catalog/run=run/run.retry1.000000.parquet",
    "receipts/run/run.retry1.000000~a1~c0~f0~b1",
];

#[test]
fn every_pass_has_the_groups_of_its_own_summary() {
    let keys = [&WHOLE[..], &RETRIED].concat();
    assert_eq!(
        planned_passes(&keys, &[(0, 1), (1, 1)]).1,
        Vec::<String>::new()
    );
    let (_, findings, torn) = planned_passes(&keys, &[(0, 2), (1, 1)]);
    assert_eq!(
        findings,
        ["noManifest run.000001.index", "noCatalog run.000001.index"]
    );
    assert_eq!(
        torn,
        [0],
        "a retry group does not stand in for one of the run's own"
    );
    let (_, findings, torn) = planned_passes(&keys, &[(0, 1), (1, 2)]);
    assert_eq!(
        findings,
        [
            "noManifest run.retry1.000001.index",
            "noCatalog run.retry1.000001.index"
        ]
    );
    assert_eq!(torn, [1]);
    assert_eq!(
        planned_passes(&keys, &[(0, 1), (1, 0)]).1,
        ["strayManifest run.retry1.000000.index"]
    );
    assert_eq!(
        planned_passes(&keys[..5], &[(0, 1), (1, 1)]).1,
        Vec::<String>::new(),
        "receipts are the groups' own"
    );
    assert_eq!(
        planned_passes(&keys[..4], &[(0, 1), (1, 1)]).1,
        ["noCatalog run.retry1.000000.index"]
    );
}

#[test]
fn nothing_is_looked_for_of_a_group_that_a_redo_replaced() {
    let replaced = s3bundler_contract::Replaced {
        group: GroupName::numbered(&run(), 1),
        receipt: String::new(),
        rows: 1,
        digest: s3bundler_contract::RowDigest::default(),
        taken: BTreeMap::new(),
    };
    let redo = RunSummary {
        redo: 1,
        groups: 1,
        replaces: vec![replaced],
        ..RunSummary::empty(run())
    };
    let accounts = Accounts::of([
        RunSummary {
            groups: 2,
            ..RunSummary::empty(run())
        },
        redo,
    ]);
    let redone = [
        "groups/run/run.redo1.000000.index",
        "catalog/run=run/run.redo1.000000.parquet",
    ];
    let tasks = ["run.000000 Own(Pass(0))", "run.redo1.000000 Own(Redo(1))"];
    for left in [
        &[][..],
        &["catalog/run=run/run.000001.parquet"],
        &["receipts/run/run.000001~a1~c0~f0~b1"],
    ] {
        let keys = [&WHOLE[..], &redone, left].concat();
        assert_eq!(
            planned_with(&keys, &accounts),
            (tasks.map(str::to_owned).to_vec(), vec![], vec![])
        );
    }
    let missing = planned_with(&WHOLE, &accounts).1;
    assert_eq!(
        missing,
        [
            "noManifest run.redo1.000000.index",
            "noCatalog run.redo1.000000.index"
        ]
    );
}

const NONE: [&str; 0] = [];

#[test]
fn a_pass_without_a_summary_is_unfinished_and_so_is_one_that_was_left_out() {
    let of = |added: &[&str]| {
        let keys = [&WHOLE[..], added].concat();
        unfinished(&listing(&keys), &run())
            .into_iter()
            .map(|it| it.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[]), NONE, "pass 0 has a finding of its own");
    assert_eq!(of(&RETRIED), ["retry pass 1"]);
    assert_eq!(of(&["runs/run.retry1.done.json", RETRIED[0]]), NONE);
    assert_eq!(of(&["runs/run.retry2.done.json"]), ["retry pass 1"]);
    assert_eq!(
        of(&["groups/run/run.retry4294967295.000000.index"]),
        ["retry pass 4294967294", "retry pass 4294967295"]
    );
    assert_eq!(
        of(&["runs/run.retry1.json", "runs/run.retry01.done.json"]),
        NONE
    );
    assert_eq!(of(&["groups/run/run.redo1.000000.index"]), ["redo 1"]);
    assert_eq!(of(&["runs/run.redo2.done.json"]), ["redo 1"]);
    assert_eq!(
        of(&[
            "runs/run.redo1.done.json",
            "groups/run/run.redo1.000000.index"
        ]),
        NONE
    );
}

#[test]
fn a_summary_that_lies_does_not_fill_the_memory() {
    let (tasks, findings) = planned(&WHOLE, Some(u64::MAX));
    assert_eq!((tasks.len(), findings.len()), (1, 2001));
}
