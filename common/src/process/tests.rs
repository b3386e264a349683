use super::*;

/// As Linux 6.1 has it, of a program with an odd name.
const STAT: &str = "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 2105 0 3 0 250 50 0 0 20 0 4 0 12345 \
    314572800 5120 18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0";

#[test]
fn the_files_of_proc_are_read_by_name_and_place() {
    let status = "Name:\ts3bundler\nVmPeak:\t  307200 kB\nVmRSS:\t   20480 kB\n";
    let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax \
        open files            1024                 524288               files\n";
    let boot = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
    assert_eq!(
        Usage::parse(STAT, status, limits, boot),
        Usage {
            cpu_seconds: Some(3.0),
            resident_bytes: Some(20_971_520.0),
            started: Some(1_700_000_123.45),
            open_fds: None,
            max_fds: Some(1024.0),
        }
    );
}

#[test]
fn a_system_without_proc_shows_nothing() {
    assert_eq!(Usage::parse("", "", "", ""), Usage::default());
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_has_version_and_process() {
    let page = crate::http_pages::metrics(&registry("s3bundler-test", "1.2.3")).1;
    let build = r#"s3bundler_build_info{program="s3bundler-test",version="1.2.3"} 1"#;
    assert!(page.lines().any(|line| line == build), "{page}");
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    ] {
        let value = page.lines().find_map(|line| {
            let (found, value) = line.split_once(' ')?;
            (found == name).then(|| value.parse::<f64>().expect("a number"))
        });
        assert!(
            value.is_some_and(|value| value >= 0.0),
            "{name}: {value:?}\n{page}"
        );
    }
}
