use super::*;

const DASHBOARD: &str = include_str!("../../../../charts/s3bundler/files/dashboard.json");

#[test]
fn every_variable_of_the_dashboard_is_replaced() {
    let dashboard = serde_json::from_str(DASHBOARD).unwrap();
    let panels = panels(&dashboard);
    assert!(panels.len() > 40, "{}", panels.len());
    for (panel, query) in &panels {
        let query = substitute(query, ".+");
        assert!(!query.contains('$'), "{panel}: {query}");
    }
    for title in TROUBLE {
        assert!(panels.iter().any(|(panel, _)| panel == title), "{title}");
    }
}
