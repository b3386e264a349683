use super::*;

#[test]
fn the_remedy_of_a_copy_can_be_pasted_into_a_shell() {
    let remedy = Part::Copy.remedy("run.000007", &S3Address::new("b", "p/objects/it's $HOME~1"));
    let command = r"`aws s3 rm 's3://b/p/objects/it'\''s $HOME~1' && aws s3 rm 's3://b/p/objects/it'\''s $HOME~1.metadata'`";
    assert!(remedy.contains(command), "{remedy}");
    assert!(
        remedy.contains("`s3bundler group --redo N --groups run.000007`"),
        "{remedy}"
    );
}
