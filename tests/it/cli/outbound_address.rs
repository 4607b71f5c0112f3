//! `WXQR_OUTBOUND_ADDRESS`: where calls to WeChat come from.

use std::net::IpAddr;

use tokio::net::TcpListener;

use crate::support::process::Process;

/// The address that WeChat sees.
async fn caller(outbound_address: Option<&str>) -> IpAddr {
    let wechat = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", wechat.local_addr().unwrap());
    let mut variables = vec![
        ("WXQR_APP_ID", "wx0123456789abcdef"),
        ("WXQR_APP_SECRET", "0123456789abcdef"),
        ("WXQR_API_BASE", &base),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
    ];
    variables.extend(outbound_address.map(|address| ("WXQR_OUTBOUND_ADDRESS", address)));
    // The token is fetched at the start.
    let (_process, _) = Process::serve(&variables).await;
    let (_, peer) = wechat.accept().await.unwrap();
    peer.ip()
}

#[tokio::test]
async fn calls_come_from_the_address_that_is_set() {
    for (address, want) in [
        (None, "127.0.0.1"),
        (Some("127.0.0.2"), "127.0.0.2"),
        (Some("0.0.0.0"), "127.0.0.1"),
    ] {
        assert_eq!(caller(address).await.to_string(), want, "{address:?}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_ends_the_start() {
    let variables = [
        ("WXQR_APP_ID", "wx0123456789abcdef"),
        ("WXQR_APP_SECRET", "0123456789abcdef"),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
        ("WXQR_LISTEN", "127.0.0.1:0"),
        ("WXQR_OUTBOUND_ADDRESS", "192.0.2.1"),
    ];
    let output = Process::start(&["serve"], &variables).output().await;
    assert_eq!(output.status, 78, "{output:?}");
    let says = "WXQR_OUTBOUND_ADDRESS: 192.0.2.1 is no address of this machine";
    assert!(output.stderr.contains(says), "{output:?}");
}
