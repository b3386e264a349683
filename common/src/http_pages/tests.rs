use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}

#[tokio::test]
async fn the_unspecified_address_of_ipv6_answers_both_kinds() {
    let listener = listen("[::]:0".parse().expect("an address"))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(serve(listener, |path: &str| match path {
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "healthz\n".to_owned()),
    }));
    let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    // A machine may have none.
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    addresses.extend(
        std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))
            .is_ok()
            .then_some(v6),
    );
    for address in addresses {
        let found = ask(address, "/healthz").await;
        assert!(
            found.starts_with("HTTP/1.1 200 ") && found.ends_with("\r\n\r\nok\n"),
            "{address}: {found}"
        );
        assert!(
            ask(address, "/").await.starts_with("HTTP/1.1 404 "),
            "{address}"
        );
        let page = get(&address.to_string(), "/healthz").await;
        assert_eq!(
            page.expect("a page"),
            (StatusCode::OK, "ok\n".to_owned()),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_program_that_does_not_listen_has_no_page() {
    let listener = listen("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let refused = get(&address.to_string(), "/healthz").await;
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        io::ErrorKind::ConnectionRefused
    );
}
