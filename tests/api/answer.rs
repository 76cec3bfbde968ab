//! Responses, and checks that apply to every response of a kind.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

/// A status and a JSON body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let status = response.status();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// The body of an error with this status and code. Checks its shape.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), &self.body["code"]),
            (status, &json!(code)),
            "{}",
            self.body
        );
        let sentence = self.body["error"].as_str().expect("a sentence");
        assert!(
            !sentence.is_empty() && !sentence.ends_with('.'),
            "{sentence}"
        );
        for key in self.body.as_object().unwrap().keys() {
            assert!(
                ["error", "code", "suggestion", "field"].contains(&key.as_str()),
                "{key}"
            );
        }
        self.body
    }

    /// The body of an allocation refused with this status and code. Checks its shape, and that
    /// `retryAfter` equals the header and exceeds `base_secs` by at most a tenth.
    #[track_caller]
    pub fn not_allocated(self, status: u16, code: &str, base_secs: u64) -> Value {
        let Self { body, .. } = &self;
        assert_eq!(
            (self.status.as_u16(), &body["code"], &body["success"]),
            (status, &json!(code), &json!(false)),
            "{body}"
        );
        let retry_after = body["retryAfter"].as_u64().expect("a number");
        assert_eq!(
            self.header("retry-after"),
            Some(&*retry_after.to_string()),
            "{body}"
        );
        let expected = base_secs..=base_secs + base_secs / 10;
        assert!(expected.contains(&retry_after), "{body}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let keys = self.body.as_object().unwrap().keys();
        let expected = "code costInfo error limit mode retryAfter success suggestion";
        assert!(keys.eq(expected.split(' ')), "{body}");
        for sentence in [&body["error"], &body["suggestion"]] {
            let sentence = sentence.as_str().unwrap();
            assert!(!sentence.is_empty() && !sentence.ends_with('.'));
        }
        let cost = body["costInfo"].as_object().unwrap();
        let expected = [
            "budgetRemaining",
            "currentCostRatio",
            "projectedMonthlyCost",
        ];
        assert!(cost.keys().eq(expected), "{body}");
        self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
