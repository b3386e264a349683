use super::*;
use std::net::Ipv4Addr;

#[test]
fn two_ports_held_together_differ() {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ports: Vec<_> = (0..50).map(|_| Port::free(address).unwrap()).collect();
    let numbers: std::collections::BTreeSet<_> = ports.iter().map(Port::number).collect();
    assert_eq!(numbers.len(), ports.len());
}
