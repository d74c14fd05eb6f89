//! A node that dies by SIGKILL between reading a change and telling it, or right after.

use std::process::{Command, Stdio};
use std::time::Duration;

use contracts::ids::Domain;

use crate::externals::{SSN, edit};
use crate::network::Network;
use crate::owner::enrol;
use crate::watcher::{CHANGE_TABLE, Watch, passed, registry_feed};

const STATUS: &str = "identity.medicaid_immigration_status";

#[actix_web::test]
async fn a_node_killed_while_it_notes_a_change_tells_it_once_when_it_is_back() {
    let mut network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let watch = Watch::start(&network, &ana, Domain::Identity, &[STATUS], 30).await;
    let changes = [
        "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
         INSERT INTO person_change VALUES ('P-1', 1)",
        "UPDATE person SET status_code = 'USC' WHERE person_id = 'P-1';
         INSERT INTO person_change VALUES ('P-1', 2)",
    ];
    // Before the commit nothing of it is kept; after it, all.
    for (told, (step, change)) in ["watch.noted", "watch.told"]
        .into_iter()
        .zip(changes)
        .enumerate()
    {
        network.stop(4).await;
        let config = network.folder.path().join("killed.toml");
        std::fs::write(&config, toml::to_string(&network.configs[3]).unwrap()).unwrap();
        edit(&network.registry, change).await;
        let mut process = Command::new(env!("CARGO_BIN_EXE_oracle"))
            .args(["run", "--config", config.to_str().unwrap()])
            .env(oracles::faults::DIE_AT, step)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut left = 300;
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            left -= 1;
            assert!(left > 0, "it never came to {step}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(status.code(), None, "killed, not ended");
        network.restart(4).await;
        passed(&network, told as i64 + 1).await;
        assert_eq!(watch.told(&network, 4).await, told + 1, "{step}");
        network.restart(4).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(watch.told(&network, 4).await, told + 1, "{step}");
    }
}
