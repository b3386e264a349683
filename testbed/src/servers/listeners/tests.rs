use super::*;
use std::net::TcpListener;

#[test]
fn a_process_is_found_by_the_port_it_listens_on_and_by_no_other() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            // No IPv6 here.
            continue;
        };
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port), "{address}");
        assert!(!listens(std::process::id(), 1), "{address}");
        // The parent, whose files may not even be ours to see.
        assert!(!listens(std::os::unix::process::parent_id(), port));
        drop(listener);
        assert!(!listens(std::process::id(), port), "{address}");
    }
}
