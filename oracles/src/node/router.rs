//! What a node answers: peer topics, message sources of signing ceremonies, HTTP routes.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use actix_web::web;
use contracts::ids::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Node;
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, ErasedSource, MessageSource, SignTopic};
use crate::peer::{Refusal, Topic};
use crate::tamper::{Asked, Tamper};

type Routes = Box<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;
type Run = Box<
    dyn Fn(Arc<Node>, NodeId, Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Refusal>>
        + Send
        + Sync,
>;

/// A handler of one peer topic.
pub(crate) struct Handler {
    pub(crate) topic: &'static str,
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
    run: Run,
}

impl Handler {
    pub(crate) fn run(
        &self,
        node: Arc<Node>,
        from: NodeId,
        body: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, Refusal>> {
        (self.run)(node, from, body)
    }

    fn tampered(self, topic: &'static str, tamper: Arc<dyn Tamper>) -> Self {
        let run: Run = Box::new(move |node, from, body| {
            let tamper = Arc::clone(&tamper);
            let honest = (self.run)(Arc::clone(&node), from, body.clone());
            async move {
                if from == node.id() {
                    return honest.await;
                }
                let body = &body;
                tamper.answer(Asked { topic, from, body }, honest).await
            }
            .boxed()
        });
        Self {
            topic,
            max_request: self.max_request,
            max_response: usize::MAX,
            run,
        }
    }
}

/// What a node answers. Filled once, before it listens.
#[derive(Default)]
pub struct Router {
    handlers: HashMap<&'static str, Handler>,
    sources: HashMap<(KeyId, &'static str), ErasedSource>,
    pub(super) routes: Vec<Routes>,
    pub(super) tamper: Option<Arc<dyn Tamper>>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Router {
    /// Answers a peer topic. The sender is authenticated; whether it may ask is for the handler to decide.
    ///
    /// # Panics
    /// When the topic is answered already: two roles share a name.
    pub fn answers<Req, Resp, F, Fut>(&mut self, topic: Topic<Req, Resp>, handler: F)
    where
        Req: DeserializeOwned + Send + 'static,
        Resp: Serialize + 'static,
        F: Fn(Arc<Node>, NodeId, Req) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Refusal>> + Send + 'static,
    {
        let max_request = topic.max_request();
        let run: Run = Box::new(move |node, from, body| {
            let handler = handler.clone();
            async move {
                if body.len() > max_request {
                    return Err(Refusal::new(
                        "too-large",
                        format!("at most {max_request} bytes"),
                    ));
                }
                let request = serde_json::from_slice(&body).map_err(|error| {
                    Refusal::new(
                        "malformed",
                        format!("{:?} error at column {}", error.classify(), error.column()),
                    )
                })?;
                let response = handler(node, from, request).await?;
                serde_json::to_vec(&response).map_err(|error| Refusal::internal(&error))
            }
            .boxed()
        });
        let handler = Handler {
            topic: topic.name(),
            max_request,
            max_response: topic.max_response(),
            run,
        };
        let earlier = self.handlers.insert(topic.name(), handler);
        assert!(
            earlier.is_none(),
            "two handlers for peer topic {}",
            topic.name()
        );
    }

    /// Signs with a committee key what `source` rebuilds from a context of this topic.
    ///
    /// # Panics
    /// When key and topic have a source already: two roles share a name.
    pub fn signs<C, S>(&mut self, key: KeyId, topic: SignTopic<C>, source: S)
    where
        C: DeserializeOwned + Send + 'static,
        S: MessageSource<C> + 'static,
    {
        let earlier = self
            .sources
            .insert((key, topic.name()), sign::erase(source));
        assert!(
            earlier.is_none(),
            "two message sources for {key} {}",
            topic.name()
        );
    }

    /// Serves HTTP routes; called once per worker.
    pub fn routes(&mut self, configure: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) {
        self.routes.push(Box::new(configure));
    }

    /// Departs from the protocol towards peers, in every topic answered so far and every request: for fault injection
    /// in tests, see [`crate::tamper`].
    pub fn tamper(&mut self, tamper: &Arc<dyn Tamper>) {
        self.handlers = std::mem::take(&mut self.handlers)
            .into_iter()
            .map(|(topic, handler)| (topic, handler.tampered(topic, Arc::clone(tamper))))
            .collect();
        self.tamper = Some(Arc::clone(tamper));
    }

    /// Puts a lying handler in the place of the honest one.
    #[cfg(test)]
    pub(crate) fn lies<Req, Resp, F, Fut>(&mut self, topic: Topic<Req, Resp>, handler: F)
    where
        Req: DeserializeOwned + Send + 'static,
        Resp: Serialize + 'static,
        F: Fn(Arc<Node>, NodeId, Req) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Refusal>> + Send + 'static,
    {
        self.handlers.remove(topic.name());
        self.answers(topic, handler);
    }

    pub(crate) fn handler(&self, topic: &str) -> Option<&Handler> {
        self.handlers.get(topic)
    }

    pub(crate) fn source(&self, key: KeyId, topic: &str) -> Option<&ErasedSource> {
        // The map's keys are `'static`; a lookup by a borrowed topic compares them one by one. There are a dozen.
        self.sources
            .iter()
            .find(|((k, t), _)| *k == key && *t == topic)
            .map(|(_, source)| source)
    }
}
