use super::*;

#[test]
fn every_name_reads_back() {
    for reason in Reason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(*reason));
    }
    for reason in LeftOut::ALL {
        assert_eq!(reason.as_str().parse(), Ok(*reason));
    }
    let error = "retry".parse::<Reason>().expect_err("names are exact");
    let names = "Retry, NoSuchKey, Glacier, AccessDenied, Changed, ChecksumMismatch, SseC, Invalid";
    assert_eq!(
        error.to_string(),
        format!("\"retry\" is not one of {names}")
    );
}
