//! What is counted: texts by template and outcome, texts that came in by meaning, what waits.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::store::MessageState;
use crate::text::Template;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Text {
    template: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Heard {
    meaning: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Handed {
    provider: String,
    result: &'static str,
}

/// The counters of this process.
pub(crate) struct Metrics {
    registry: Registry,
    texts: Family<Text, Counter>,
    heard: Family<Heard, Counter>,
    handed: Family<Handed, Counter>,
    waiting: Gauge<i64, AtomicI64>,
    dead: Gauge<i64, AtomicI64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("notifier");
        let (texts, heard, handed) = (Family::default(), Family::default(), Family::default());
        let (waiting, dead) = (Gauge::default(), Gauge::default());
        registry.register(
            "texts",
            "Texts by template and the state they came to",
            texts.clone(),
        );
        registry.register(
            "heard",
            "Texts that came in by what they mean",
            heard.clone(),
        );
        registry.register(
            "handed",
            "Hand-overs by provider and result",
            handed.clone(),
        );
        registry.register(
            "outbox_waiting",
            "Texts that are to be sent",
            waiting.clone(),
        );
        registry.register("outbox_dead", "Dead letters", dead.clone());
        Self {
            registry,
            texts,
            heard,
            handed,
            waiting,
            dead,
        }
    }

    pub(super) fn text(&self, template: Template, outcome: MessageState) {
        let label = Text {
            template: template.name(),
            outcome: outcome.as_str(),
        };
        self.texts.get_or_create(&label).inc();
    }

    pub(super) fn heard(&self, meaning: &'static str) {
        self.heard.get_or_create(&Heard { meaning }).inc();
    }

    pub(super) fn handed(&self, provider: &str, result: &'static str) {
        self.handed
            .get_or_create(&Handed {
                provider: provider.to_owned(),
                result,
            })
            .inc();
    }

    pub(super) fn outbox(&self, waiting: i64, dead: i64) {
        self.waiting.set(waiting);
        self.dead.set(dead);
    }

    /// OpenMetrics text.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
