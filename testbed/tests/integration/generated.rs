//! Files that are made from others. `make generate` writes them; here they fail when they differ.

use std::fmt::Write as _;

use s3bundler_testbed::generated::assert_generated;

const VALUES: &str = include_str!("../../../charts/s3bundler/values.yaml");

/// What the README has before the values.
const HEAD: &str = "\
<!-- Made from values.yaml by `make generate`. -->
# S3 Bundler

The operator of ArchiveRuns, which pack the many small objects of S3 buckets into few indexed archives.
[Install](../../docs/kubernetes/install.md) has the images and the roles that it needs,
[Monitoring](../../docs/kubernetes/monitoring.md) the alerts and the dashboard, [Upgrade](../../docs/kubernetes/upgrade.md) the versions
of Kubernetes.

```
helm install s3bundler charts/s3bundler --namespace s3bundler-system --create-namespace --values values.yaml
helm test s3bundler --namespace s3bundler-system
```

[values.yaml](values.yaml) has the same descriptions with examples. A value that is not listed here is refused.

| Value | Default | Description |
|---|---|---|
";

/// A value, or a map of values that has a description.
#[derive(Debug, PartialEq, Eq)]
struct Value {
    path: String,
    /// As YAML; empty of a map.
    default: String,
    description: String,
}

/// The values of a file, each with the comment above it. Comments that are set off by more than one
/// space are examples, and one that an empty line follows is about the file.
fn values(yaml: &str) -> Vec<Value> {
    let (mut values, mut parents, mut comment) = (Vec::new(), Vec::new(), Vec::new());
    for line in yaml.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(said) = text.strip_prefix('#') {
            let is_example = said.starts_with("  ");
            comment.extend((!is_example).then(|| said.trim().to_owned()));
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            comment.clear();
            continue;
        };
        parents.retain(|(at, _)| *at < indent);
        parents.push((indent, key.to_owned()));
        let names: Vec<&str> = parents.iter().map(|(_, name)| name.as_str()).collect();
        let value = Value {
            path: names.join("."),
            default: default.trim().to_owned(),
            description: std::mem::take(&mut comment).join(" "),
        };
        if !value.default.is_empty() || !value.description.is_empty() {
            values.push(value);
        }
    }
    values
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_charts_readme_has_every_value() {
    let mut readme = HEAD.to_owned();
    for Value {
        path,
        default,
        description,
    } in values(VALUES)
    {
        let default = if default.is_empty() {
            String::new()
        } else {
            format!("`{}`", cell(&default))
        };
        let cells = format!("| `{path}` | {default} | {} |", cell(&description));
        writeln!(readme, "{}", cells.replace("|  |", "| |")).unwrap();
    }
    assert_generated("charts/s3bundler/README.md", &readme);
}

#[test]
fn values_are_read_with_the_comments_above_them() {
    let yaml = "\
# About the file.

# A map.
a:
  # One
  # value.
  b: \"\"
  # A list.
  c: []
  #  - an example
  d:
    e: 1
f: 2
";
    let value = |path: &str, default: &str, description: &str| Value {
        path: path.to_owned(),
        default: default.to_owned(),
        description: description.to_owned(),
    };
    assert_eq!(
        values(yaml),
        [
            value("a", "", "A map."),
            value("a.b", "\"\"", "One value."),
            value("a.c", "[]", "A list."),
            value("a.d.e", "1", ""),
            value("f", "2", ""),
        ]
    );
}

#[test]
fn every_value_or_a_map_that_it_is_in_is_described() {
    let values = values(VALUES);
    let described: Vec<&str> = values
        .iter()
        .filter(|value| !value.description.is_empty())
        .map(|value| value.path.as_str())
        .collect();
    let is_described = |path: &str| {
        described
            .iter()
            .any(|it| path == *it || path.starts_with(&format!("{it}.")))
    };
    let undescribed: Vec<&str> = values
        .iter()
        .map(|value| value.path.as_str())
        .filter(|path| !is_described(path))
        .collect();
    assert!(undescribed.is_empty(), "{undescribed:#?}");
}
