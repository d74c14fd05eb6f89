//! A node whose disk went back in time.

use std::path::Path;
use std::time::{Duration, Instant};

use contracts::ids::{Committee, Domain};
use oracles::backup;
use oracles::rollback::Standing;

use super::externals::{SSN, report};
use super::network::Network;
use super::owner::{Draft, Enrolled, Wish, code, enrol, today, trailing, wish};

const RESTORED: u16 = 2;

fn income() -> Vec<Wish> {
    vec![wish("income.magi_monthly", trailing(today()), 0, false)]
}

fn says(network: &Network, cents: i64) {
    network
        .payroll
        .put("C-1", report("C-1", "4321", today(), today(), cents));
}

/// Copies a folder as `cp -r` does, while the node runs.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn standing(network: &Network, node: u16, committee: Committee) -> Standing {
    let marks = network.nodes[usize::from(node) - 1]
        .as_ref()
        .unwrap()
        .node()
        .marks();
    let began = Instant::now();
    loop {
        match marks.standings()[&committee] {
            Standing::Starting if began.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            known => return known,
        }
    }
}

/// Node 2 acknowledges an income, then `lose` puts its folder back to before, and the payroll changes its mind.
async fn asked_again(
    network: &mut Network,
    ana: &Enrolled,
    lose: impl AsyncFnOnce(&mut Network),
) -> (Draft, Vec<Wish>) {
    let wishes = income();
    let draft = Draft::new(network, ana, Domain::Income, &wishes).await;
    let answers = draft.send(network).await;
    assert!(answers.values().all(Result::is_ok));
    lose(network).await;
    says(network, 99_999);
    let id = draft.context.request_id;
    let again = Draft::under(network, ana, Domain::Income, &wishes, id).await;
    (again, wishes)
}

#[actix_web::test]
async fn a_folder_copied_back_does_not_make_a_node_acknowledge_a_second_value() {
    let mut network = Network::start().await;
    says(&network, 62_237);
    let ana = enrol(&network, SSN).await;
    let folder = network.folder.path().join(RESTORED.to_string());
    let saved = network.folder.path().join("saved");
    copy(&folder, &saved);
    let (again, _) = asked_again(&mut network, &ana, async |network| {
        network.stop(RESTORED).await;
        std::fs::remove_dir_all(&folder).unwrap();
        copy(&saved, &folder);
        network.restart(RESTORED).await;
    })
    .await;
    assert_eq!(code(again.send_to(&network, RESTORED).await), "unsure");
    assert_eq!(
        standing(&network, RESTORED, Committee::Income).await,
        Standing::Behind
    );

    // Nor after a second start, which finds its peers in agreement with it.
    network.restart(RESTORED).await;
    assert_eq!(
        standing(&network, RESTORED, Committee::Income).await,
        Standing::Behind
    );
    assert_eq!(code(again.send_to(&network, RESTORED).await), "unsure");

    // The committee works without it, under another request.
    let draft = Draft::new(&network, &ana, Domain::Income, &income()).await;
    draft.send(&network).await;
    let batches = draft.attest(&network, 1).await.unwrap();
    assert_eq!(batches.batches.len(), 1);

    // When every request of the lost time has expired, it takes part again.
    network.sleep_days(2).await;
    for _ in 0..200 {
        if standing(&network, RESTORED, Committee::Income).await == Standing::Ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        standing(&network, RESTORED, Committee::Income).await,
        Standing::Ready
    );
}

#[actix_web::test]
async fn a_node_restored_from_a_backup_made_while_it_ran_does_not_acknowledge_a_second_value() {
    let mut network = Network::start().await;
    says(&network, 62_237);
    let ana = enrol(&network, SSN).await;
    let config = network.configs[usize::from(RESTORED) - 1].clone();
    let file = network.folder.path().join("node-2.backup");
    let made = backup::backup(&config, &file).await.unwrap();
    assert_eq!(made.node, config.id);
    let sealed = std::fs::read(&file).unwrap();
    assert!(!sealed.windows(6).any(|window| window == b"SQLite"));
    let (again, _) = asked_again(&mut network, &ana, async |network| {
        network.stop(RESTORED).await;
        let refused = backup::restore(&config, &file).unwrap_err().to_string();
        assert!(refused.contains("exists already"), "{refused}");
        let key = std::fs::read(config.operator_key_file()).unwrap();
        std::fs::remove_dir_all(&config.data_dir).unwrap();
        std::fs::create_dir(&config.data_dir).unwrap();
        std::fs::write(config.operator_key_file(), key).unwrap();
        assert_eq!(backup::restore(&config, &file).unwrap(), made);
        network.restart(RESTORED).await;
    })
    .await;
    assert_eq!(code(again.send_to(&network, RESTORED).await), "unsure");
    let node = network.nodes[1].as_ref().unwrap().node();
    assert_eq!(
        node.keys().active().len(),
        network.nodes[0]
            .as_ref()
            .unwrap()
            .node()
            .keys()
            .active()
            .len()
    );
}

#[actix_web::test]
async fn a_backup_altered_or_of_another_node_or_under_another_key_is_refused() {
    let network = Network::start().await;
    let config = network.configs[1].clone();
    let file = network.folder.path().join("a.backup");
    backup::backup(&config, &file).await.unwrap();
    let refused = |config: &oracles::config::NodeConfig, file: &Path| {
        backup::restore(config, file).unwrap_err().to_string()
    };
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let altered = network.folder.path().join("altered.backup");
    std::fs::write(&altered, bytes).unwrap();
    assert!(refused(&config, &altered).contains("does not open"));
    let other = network.configs[2].clone();
    assert!(
        refused(&other, &file).contains("does not open"),
        "its operator key is another"
    );
    let mut same_key = other.clone();
    same_key.operator_key_file = Some(config.operator_key_file());
    assert!(refused(&same_key, &file).contains("a backup of node 2"));
    std::fs::write(&altered, b"x").unwrap();
    assert!(refused(&config, &altered).contains("not a backup"));
    let again = backup::backup(&config, &file)
        .await
        .unwrap_err()
        .to_string();
    assert!(again.contains("exists already"), "{again}");
}

#[actix_web::test]
async fn a_killed_node_goes_on_at_once_also_while_another_one_is_down() {
    let mut network = Network::start().await;
    says(&network, 62_237);
    let ana = enrol(&network, SSN).await;
    let (again, _) = asked_again(&mut network, &ana, async |network| {
        network.stop(4).await;
        network.restart(RESTORED).await;
    })
    .await;
    assert_eq!(
        standing(&network, RESTORED, Committee::Income).await,
        Standing::Ready
    );
    assert_eq!(
        code(again.send_to(&network, RESTORED).await),
        "other-leaf",
        "it remembers what it acknowledged"
    );
}
