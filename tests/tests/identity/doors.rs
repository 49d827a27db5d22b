//! What one certificate can take from the others: connections, the database's time, the places of strangers.

use std::{num::NonZeroU32, time::Duration};

use plugmend_control_plane::{
    http::agent_api::{listener::ListenerOptions, rates::RateOptions},
    service::standing,
    store::audit::Actor,
};
use plugmend_shared::protocol::{identity::BOOT_HEADER, problem::codes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    raw,
    stand::{SOON, Stand, now},
};

type Connection = TlsStream<TcpStream>;

/// Asks for something that only an agent in good standing gets; the status, or none when the connection was closed.
async fn asked(connection: &mut Connection) -> Option<u16> {
    let request = format!(
        "GET /repo/metadata/none.json HTTP/1.1\r\nhost: x\r\n{BOOT_HEADER}: 0198c0de-0000-7000-8000-00000000b007\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut buffer = vec![0; 4096];
    let read = timeout(SOON, connection.read(&mut buffer)).await.unwrap().ok()?;
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    text.split(' ').nth(1)?.parse().ok()
}

/// Whether the other side ends the connection, with nothing said.
async fn is_closed(connection: &mut Connection) -> bool {
    let mut buffer = [0; 1024];
    let ended = timeout(SOON, async {
        while connection.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    ended.await.is_ok()
}

#[tokio::test]
async fn one_identity_holds_so_many_connections_and_no_more() {
    let stand = Stand::start().await;
    let doors = ListenerOptions {
        of_one_agent: 3,
        ..ListenerOptions::default()
    };
    let replica = stand.replica_with(RateOptions::default(), doors);
    let (store, _) = stand.agent("a").await;
    let (other, _) = stand.agent("b").await;
    let shown = || raw::shown(&store.identity().unwrap().unwrap());
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = raw::connect(&replica, Some(shown())).await.unwrap();
        assert_eq!(asked(&mut connection).await, Some(404));
        held.push(connection);
    }
    let mut fourth = raw::connect(&replica, Some(shown())).await.unwrap();
    assert_eq!(asked(&mut fourth).await, None);
    // Another's places are its own, and a place that was given back is there again.
    let others = raw::shown(&other.identity().unwrap().unwrap());
    let mut another = raw::connect(&replica, Some(others)).await.unwrap();
    assert_eq!(asked(&mut another).await, Some(404));
    drop(held.pop());
    plugmend_tests::wait::until_async("a free place", SOON, async || {
        let mut again = raw::connect(&replica, Some(shown())).await?;
        Ok((asked(&mut again).await == Some(404)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_revoked_share_the_places_of_strangers_and_do_not_stay() {
    let stand = Stand::start().await;
    let doors = ListenerOptions {
        strangers: 2,
        stranger_patience: Duration::from_millis(300),
        ..ListenerOptions::default()
    };
    let replica = stand.replica_with(RateOptions::default(), doors);
    let (good, _) = stand.agent("good").await;
    let (bad, _) = stand.agent("bad").await;
    let plugin_id = bad.identity().unwrap().unwrap().plugin_id;
    let by = (&Actor::System, "a test");
    assert!(standing::revoke(&stand.db, by, plugin_id, "lost", now()).await.unwrap());
    // In good standing: no stranger any more, so it may stay idle and leaves its place to others.
    let shown = raw::shown(&good.identity().unwrap().unwrap());
    let mut agent = raw::connect(&replica, Some(shown)).await.unwrap();
    assert_eq!(asked(&mut agent).await, Some(404));
    let shown = || raw::shown(&bad.identity().unwrap().unwrap());
    let mut idle = vec![
        raw::connect(&replica, Some(shown())).await.unwrap(),
        raw::connect(&replica, Some(shown())).await.unwrap(),
    ];
    for connection in &mut idle {
        assert!(
            is_closed(connection).await,
            "a revoked one stayed without saying a word"
        );
    }
    assert_eq!(asked(&mut agent).await, Some(404), "a good one was closed too");
}

#[tokio::test]
async fn a_flood_is_refused_before_the_database_is_asked() {
    let stand = Stand::start().await;
    let rates = RateOptions {
        agent_per_second: NonZeroU32::MIN,
        agent_burst: NonZeroU32::MIN,
        ..RateOptions::default()
    };
    let replica = stand.replica_with(rates, ListenerOptions::default());
    let (store, _) = stand.agent("a").await;
    replica.db.close().await;
    let shown = || raw::shown(&store.identity().unwrap().unwrap());
    let ask = async || {
        raw::send(&replica, Some(shown()), raw::get("/repo/metadata/none.json"))
            .await
            .unwrap()
    };
    let (mut asked_for, mut refused) = (0, 0);
    for _ in 0..5 {
        let answer = ask().await;
        match answer.status {
            503 => asked_for += 1,
            429 => {
                assert_eq!(answer.code(), codes::RATE_LIMITED);
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(asked_for >= 1 && refused >= 1, "{asked_for} {refused}");
}
