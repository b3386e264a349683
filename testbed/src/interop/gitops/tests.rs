use super::*;

#[test]
fn argo_cd_and_flux_agree_on_what_is_done_and_what_is_broken() {
    for (argo_cd, flux) in [
        ("Progressing", "InProgress"),
        ("Suspended", "InProgress"),
        ("Healthy", "Current"),
        ("Degraded", "Failed"),
    ] {
        assert!(agree(argo_cd, flux), "{argo_cd}");
        let others = ["InProgress", "Current", "Failed"].map(|other| agree(argo_cd, other));
        assert_eq!(others.into_iter().filter(|it| *it).count(), 1, "{argo_cd}");
    }
}

#[test]
fn statuses_of_one_health_are_one_phase() {
    let verdict = |status: &str, argo_cd: &str| Verdict {
        status: status.to_owned(),
        argo_cd: argo_cd.to_owned(),
        flux: "InProgress",
    };
    let history = [
        verdict("Pending", "Progressing"),
        verdict("Bundling", "Progressing"),
        verdict("Complete", "Healthy"),
    ];
    assert_eq!(phases(&history), ["Progressing", "Healthy"]);
}
