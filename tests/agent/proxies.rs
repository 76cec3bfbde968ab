//! A proxy between a node and its registry that responds by itself.

use peer_registry::agent::{Agent, Event, Events, Step};

use crate::helpers::*;

struct Behind {
    time: Time,
    proxy: Proxy,
    registry: TestRegistry,
    agent: Agent,
    events: Events,
}

impl Behind {
    /// A node that has registered through a proxy.
    async fn proxy() -> Self {
        let time = Time::start();
        let registry = TestRegistry::start(&time).await;
        let proxy = Proxy::start(registry.addr()).await;
        let agent = time.agent(node(), &proxy.url).start().unwrap();
        let mut events = agent.events();
        time.wait_until_idle(1).await;
        assert_eq!(names(&mut events).await, ["registered"]);
        assert_eq!(proxy.seen(), ["POST /register"]);
        Self {
            time,
            proxy,
            registry,
            agent,
            events,
        }
    }

    /// Gives the next request this response; returns how long the agent then waits, in milliseconds.
    async fn respond(&self, head: &str, body: &str) -> i64 {
        self.proxy.responds(head, body);
        self.proxy.seen();
        self.time.step(1).await;
        if self.proxy.seen().is_empty() {
            // That was the end of the lease.
            self.time.step(1).await;
        }
        self.agent.state()[0].next_step_at_ms - self.time.now_ms()
    }

    async fn recovers_with_a_heartbeat(mut self) {
        assert_eq!(self.agent.state()[0].next_step, Step::Heartbeat);
        self.proxy.does(Conduct::Forward);
        self.proxy.seen();
        names(&mut self.events).await;
        self.time.step(1).await;
        assert_eq!(self.proxy.seen(), ["POST /heartbeat"]);
        assert_eq!(names(&mut self.events).await, ["reachable", "renewed"]);
        let stats = self.registry.client.stats().await.unwrap();
        assert_eq!(stats.registrations, 1);
    }

    /// The reason in the only event, which must be `Unreachable`.
    async fn trouble(&mut self) -> String {
        match &present(&mut self.events).await[..] {
            [Event::Unreachable { reason, .. }] => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn throttled_with_seconds_waits_for_them() {
    let mut behind = Behind::proxy().await;
    let wait_ms = behind.respond("429 Slow Down\r\nRetry-After: 45", "").await;
    assert!((45_000..=165_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(names(&mut behind.events).await, ["throttled"]);
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn throttled_with_a_date_waits_by_the_clock_of_the_server() {
    let behind = Behind::proxy().await;
    let head = "429 Slow Down\r\nRetry-After: Wed, 21 Oct 2015 07:29:10 GMT\r\n\
                Date: Wed, 21 Oct 2015 07:28:00 GMT";
    let wait_ms = behind.respond(head, "").await;
    assert!((70_000..=190_000).contains(&wait_ms), "{wait_ms}");
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn throttled_with_a_date_alone_waits_by_its_own_clock() {
    let behind = Behind::proxy().await;
    let until = std::time::Duration::from_millis(START_MS.unsigned_abs() + 200_000);
    let date = httpdate::fmt_http_date(std::time::SystemTime::UNIX_EPOCH + until);
    let head = format!("503 Busy\r\nRetry-After: {date}");
    behind.respond(&head, "<html>").await;
    let next_ms = behind.agent.state()[0].next_step_at_ms;
    assert!(
        (200_000..=320_000).contains(&(next_ms - START_MS)),
        "{next_ms}"
    );
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn no_throttle_lasts_longer_than_ten_minutes_or_makes_the_node_register() {
    let mut behind = Behind::proxy().await;
    for _ in 0..3 {
        let wait_ms = behind.respond("503 Busy\r\nRetry-After: 86400", "").await;
        assert!((600_000..=720_000).contains(&wait_ms), "{wait_ms}");
    }
    let reported = ["throttled", "lease_lapsed"];
    assert_eq!(names(&mut behind.events).await, reported);
    assert_eq!(behind.agent.state()[0].next_step, Step::Heartbeat);
}

#[actix_web::test]
async fn a_404_page_of_a_proxy_does_not_mean_that_the_peer_is_unknown() {
    let mut behind = Behind::proxy().await;
    let page = "<html><h1>404 Not Found</h1>peer_not_found</html>";
    let wait_ms = behind
        .respond("404 Not Found\r\nContent-Type: text/html", page)
        .await;
    assert!(wait_ms <= 1_000, "{wait_ms}");
    assert!(behind.trouble().await.contains("not as a registry does"));
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn a_garbled_200_renews_nothing() {
    let garbled = [
        "",
        "<html>Welcome to the hotel</html>",
        "{\"success\":tru",
        "{}",
        "{\"success\":true,\"peerId\":\"another\",\"lastSeen\":1,\"totalPeers\":1,\
         \"cleanedExpiredPeers\":0,\"timestamp\":\"\"}",
    ];
    for body in garbled {
        let mut behind = Behind::proxy().await;
        let lease_until_ms = behind.agent.state()[0].lease_until_ms;
        behind.respond("200 OK", body).await;
        assert!(behind.trouble().await.contains("answered 200, but not"));
        assert_eq!(behind.agent.state()[0].lease_until_ms, lease_until_ms);
        behind.recovers_with_a_heartbeat().await;
    }
}

#[actix_web::test]
async fn after_server_errors_the_pauses_are_at_most_one_interval() {
    let mut behind = Behind::proxy().await;
    for _ in 0..5 {
        let wait_ms = behind.respond("502 Bad Gateway", "no upstream").await;
        assert!(wait_ms <= 120_000, "{wait_ms}");
    }
    assert!(behind.trouble().await.contains("502"), "reported once");
    behind.proxy.does(Conduct::Forward);
}

#[actix_web::test]
async fn a_request_without_a_response_ends_after_ten_seconds() {
    let mut behind = Behind::proxy().await;
    behind.proxy.does(Conduct::Hang);
    let clock = behind.time.clock.clone();
    clock.set(clock.next_wake_ms().unwrap());
    clock.wait_for(|waiting| waiting.guards == 1).await;
    let asked_ms = behind.time.now_ms();
    assert_eq!(clock.next_guard_ms(), Some(asked_ms + 10_000));

    clock.set(asked_ms + 10_000);
    behind.time.wait_until_idle(1).await;
    assert!(
        behind
            .trouble()
            .await
            .contains("did not answer within 10 s")
    );
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn a_response_that_is_too_long_is_cut_off() {
    let mut behind = Behind::proxy().await;
    behind.respond("200 OK", &"x".repeat(1_000_000)).await;
    assert!(behind.trouble().await.contains("more than 65536 bytes"));
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn a_redirect_is_reported_and_not_followed() {
    let mut behind = Behind::proxy().await;
    let head = format!(
        "307 Temporary Redirect\r\nLocation: {}/heartbeat",
        behind.registry.url
    );
    behind.respond(&head, "").await;
    assert!(
        behind
            .trouble()
            .await
            .contains("it redirects to http://127.0.0.1")
    );
    let stats = behind.registry.client.stats().await.unwrap();
    assert_eq!(stats.heartbeats, 0);
    behind.recovers_with_a_heartbeat().await;
}

#[actix_web::test]
async fn each_new_reason_is_reported_and_then_the_return_with_its_time() {
    let mut behind = Behind::proxy().await;
    let ways = [
        ("502 Bad Gateway", "no upstream", "502"),
        ("404 Not Found", "<html>", "404"),
        ("302 Found\r\nLocation: http://portal/", "", "redirects"),
        ("200 OK", "<html>Welcome</html>", "200"),
    ];
    let mut first_ms = None;
    for (head, body, part) in ways {
        behind.respond(head, body).await;
        first_ms.get_or_insert(behind.time.now_ms());
        assert!(behind.trouble().await.contains(part), "{part}");
    }
    behind.proxy.does(Conduct::Forward);
    behind.time.step(1).await;
    let reported = present(&mut behind.events).await;
    let gone_ms = behind.time.now_ms() - first_ms.unwrap();
    let registry = behind.proxy.url.clone();
    assert_eq!(reported[0], Event::Reachable { registry, gone_ms });
    assert!(matches!(reported[1], Event::Renewed { .. }));
}

#[actix_web::test]
async fn a_throttle_says_whether_the_registry_is_full_or_a_proxy_is_busy() {
    let mut behind = Behind::proxy().await;
    behind.respond("503 Busy\r\nRetry-After: 5", "<html>").await;
    let full = r#"{"code":"registry_full","error":"there is no room"}"#;
    behind.respond("503 Full\r\nRetry-After: 5", full).await;
    let told: Vec<_> = present(&mut behind.events)
        .await
        .into_iter()
        .map(|event| match event {
            Event::Throttled { code, message, .. } => (code, message),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told[0].0, None);
    assert!(told[0].1.contains("answered 503"), "{told:?}");
    let code = Some(peer_registry::protocol::ErrorCode::RegistryFull.into());
    assert_eq!(told[1], (code, "there is no room".to_owned()));
}
