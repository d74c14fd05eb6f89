//! Calls to the service as owners and navigators make them.

use super::*;

impl World {
    /// A call to the service: status and JSON.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        key: Option<&str>,
        body: Option<&serde_json::Value>,
    ) -> (u16, serde_json::Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.service.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null);
        (status, json)
    }

    pub(crate) async fn created(&self, key: &str) -> CreatedProfile {
        let (status, body) = self
            .call("POST", "/v1/profiles", Some(NAVIGATOR), Some(key), None)
            .await;
        assert_eq!(status, 201, "{body}");
        parse(body)
    }

    pub(crate) fn claims(&self, created: &CreatedProfile, ssn: &str) -> EnrolProfile {
        let claims = Claims {
            version: VERSION,
            ssn: Ssn::parse(ssn).unwrap(),
            given_name: "Canary-Given".to_owned(),
            family_name: "Canary-Family".to_owned(),
            birth_date: "1992-03-04".parse().unwrap(),
            consents: Domain::ALL.to_vec(),
            authorisation_key: created.enrolment.authorisation_key,
            enrol_id: created.enrolment.enrol_id,
        };
        EnrolProfile {
            claims: seal_claims(&claims, &created.enrolment.recipients).unwrap(),
            contact: Some(format!("contact-{}", to_base64url(ssn))),
            replaces: false,
        }
    }

    pub(crate) async fn try_enrol(
        &self,
        created: &CreatedProfile,
        ssn: &str,
    ) -> (u16, serde_json::Value) {
        let body = serde_json::to_value(self.claims(created, ssn)).unwrap();
        let path = format!("/v1/profiles/{}/enrol", created.profile);
        let key = fresh();
        self.call(
            "POST",
            &path,
            Some(&created.owner_token),
            Some(&key),
            Some(&body),
        )
        .await
    }

    /// A new, enrolled owner.
    pub(crate) async fn owner(&self, ssn: &str) -> Owner {
        let created = self.created(ssn).await;
        let (status, body) = self.try_enrol(&created, ssn).await;
        assert_eq!(status, 200, "{body}");
        let profile: Profile = parse(body);
        assert!(profile.enrolled && profile.domains == Domain::ALL);
        Owner {
            profile: created.profile,
            token: created.owner_token,
        }
    }

    pub(crate) fn question(&self) -> AskQuestion {
        AskQuestion {
            contract: CONTRACT.to_owned(),
            jurisdiction: "CA".parse().unwrap(),
            as_of: self.network.clock.today(),
            audience: AUDIENCE.to_owned(),
            withhold: vec![],
            anew: false,
        }
    }

    pub(crate) async fn try_ask(
        &self,
        owner: &Owner,
        key: Option<&str>,
        question: &impl Serialize,
    ) -> (u16, serde_json::Value) {
        let path = format!("/v1/profiles/{}/questions", owner.profile);
        let body = serde_json::to_value(question).unwrap();
        self.call("POST", &path, Some(&owner.token), key, Some(&body))
            .await
    }

    pub(crate) async fn ask(&self, owner: &Owner, key: &str) -> Question {
        let (status, body) = self.try_ask(owner, Some(key), &self.question()).await;
        assert_eq!(status, 201, "{body}");
        parse(body)
    }

    pub(crate) async fn try_advance(
        &self,
        owner: &Owner,
        question: &Bytes32,
    ) -> (u16, serde_json::Value) {
        let path = format!("/v1/questions/{question}/advance");
        let key = fresh();
        self.call("POST", &path, Some(&owner.token), Some(&key), None)
            .await
    }

    pub(crate) async fn advance(&self, owner: &Owner, question: &Bytes32) -> Question {
        let (status, body) = self.try_advance(owner, question).await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    /// Advances until the question stands at `state`.
    pub(crate) async fn until(&self, owner: &Owner, question: &Bytes32, state: State) -> Question {
        for _ in 0..12 {
            let path = format!("/v1/questions/{question}");
            let (_, body) = self
                .call("GET", &path, Some(&owner.token), None, None)
                .await;
            let stands: Question = parse(body);
            if stands.state == state {
                return stands;
            }
            self.advance(owner, question).await;
        }
        panic!("the question did not come to {state:?}");
    }
}
