use super::*;

fn parse(args: &[&str]) -> Result<Invocation, clap::Error> {
    Invocation::try_parse_from(["s3bundler-operator"].iter().chain(args))
}

#[test]
fn an_operator_needs_the_image_of_its_workers_and_a_question_does_not() {
    let operator = parse(&["--worker-image=w:1", "--max-workers=3"]).expect("an operator");
    let Invocation::Operate(args) = operator else {
        panic!("{operator:?}");
    };
    assert_eq!((args.worker_image.as_str(), args.max_workers), ("w:1", 3));
    assert!(parse(&[]).is_err());

    let question = parse(&["ready", "operator:8080"]).expect("a question");
    let Invocation::Ready(args) = question else {
        panic!("{question:?}");
    };
    assert_eq!((args.address.as_str(), args.wait), ("operator:8080", 30));
    assert!(parse(&["ready"]).is_err());
}
