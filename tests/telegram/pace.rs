//! The caps hold, and within them several things are under way at once.

use std::time::Duration;

use tgvault::source::telegram::{ALL_FILE_CONNECTIONS, ExportOptions, Pace};
use tgvault_test_support::telegram::Options;

use crate::export::assert_complete;
use crate::harness::{Setup, Vault, plain};

#[test]
fn no_pace_exceeds_its_caps() {
    for pace in [Pace::Gentle, Pace::Normal, Pace::Fast] {
        let gentle = pace == Pace::Gentle;
        let options = Options {
            messages: if gentle { 150 } else { 4_000 },
            chats: if gentle { 3 } else { 30 },
            files: if gentle { 4 } else { 60 },
            media_bytes: if gentle { 2_000_000 } else { 60_000_000 },
            gallery: false,
            latency: Duration::from_millis(10),
            ..Options::default()
        };
        let mut setup = Setup::new(options);
        setup.pace = pace;
        setup.account();
        setup.server.forget_requests();
        let mut vault = Vault::default();
        setup.run(&mut vault, ExportOptions { account: false, ..plain() });
        assert_complete(&setup, &vault);
        let caps = pace.caps();
        for (dc, load) in setup.server.loads() {
            let home = dc == setup.server.home_dc();
            let messages = if home { caps.message_requests } else { 1 };
            // The connection of the login is another client's; a getConfig introduces each connection.
            let connections = caps.file_connections + if home { caps.message_connections + 1 } else { 0 };
            assert!(load.most_connections <= connections, "{pace:?} DC {dc}: {} connections", load.most_connections);
            let in_flight = caps.file_requests + messages + connections;
            assert!(load.most_in_flight <= in_flight, "{pace:?} DC {dc}: {} requests at once", load.most_in_flight);
        }
        let connections = ALL_FILE_CONNECTIONS + caps.message_connections + 1;
        assert!(setup.server.most_connections() <= connections, "{pace:?}: {} connections", setup.server.most_connections());
        if pace == Pace::Fast {
            let busiest = setup.server.loads().values().map(|load| load.most_in_flight).max().unwrap();
            assert!(busiest >= 8, "only {busiest} requests were under way at once");
        }
    }
}
