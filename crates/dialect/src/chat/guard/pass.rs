//! What leaves the guard: events as they came, or written anew where a call in them was refused.

use super::*;

impl StreamGuard for Guard {
    fn feed(&mut self, event: Event) -> Result<(), Malformed> {
        // Clients read nothing after the last event.
        if self.over || self.facts.complete {
            return Ok(());
        }
        // Events of this dialect have no names.
        match read(&Event { name: None, ..event })? {
            Data::Empty => Ok(()),
            Data::Done => {
                self.facts.complete = true;
                self.wait(Waiting { event: done(), last: true, ..Waiting::default() })?;
                self.settle(true)
            }
            Data::Json(body) => {
                self.read(body)?;
                self.settle(false)
            }
        }
    }

    fn finish(&mut self) {
        for number in self.open_calls() {
            let named = self.ledger.get(number).is_some_and(|slot| !slot.name.is_empty());
            if named && self.choice_of(number).is_some_and(|choice| choice.ended) {
                self.complete(number);
            } else {
                self.close(number);
                self.decide(number, Some(None));
            }
        }
    }

    fn next(&mut self) -> Option<Piece> {
        if self.over {
            return None;
        }
        if let Some(abandoned) = self.handed.take() {
            self.decide(abandoned, Some(None));
        }
        if let Some(number) = self.ready.pop_front() {
            let (slot, call) = (self.ledger.get(number)?, self.calls.get(number)?);
            self.handed = Some(number);
            // The name links a `function_call` to its result.
            let id = if slot.legacy { slot.name.clone() } else { slot.id.clone() };
            let call = ToolCall { id, name: slot.name.clone(), arguments: call.arguments.clone() };
            return Some(Piece::Call(HeldCall { call, events: Vec::new(), number }));
        }
        loop {
            let state = |number: &usize| self.calls.get(*number).map(|call| call.state);
            let mut calls = self.waiting.front()?.seen.iter().flat_map(|seen| &seen.fragments);
            if calls.any(|call| state(call) == Some(State::Open)) {
                return None;
            }
            let waiting = self.waiting.pop_front()?;
            self.waiting_bytes = self.waiting_bytes.saturating_sub(weight(&waiting.event));
            if let Some(piece) = self.pass(waiting) {
                return Some(piece);
            }
        }
    }

    fn allow(&mut self, held: HeldCall) -> Vec<Event> {
        if self.handed == Some(held.number) {
            self.handed = None;
            self.decide(held.number, None);
        }
        Vec::new()
    }

    fn refuse(&mut self, held: HeldCall, text: &str) -> Vec<Event> {
        if self.handed == Some(held.number) {
            self.handed = None;
            self.decide(held.number, Some(Some(text)));
        }
        Vec::new()
    }

    fn cut(&mut self, text: &str) -> Vec<Event> {
        let last_waits = self.waiting.iter().any(|waiting| waiting.last);
        if self.over || (self.facts.complete && !last_waits) {
            self.over = true;
            return Vec::new();
        }
        self.over = true;
        self.waiting.clear();
        self.ready.clear();
        let head = self.head.take().unwrap_or_else(|| head("", ""));
        if self.choices.is_empty() {
            self.choices.push(Choice::new(0));
        }
        let none_open = self.choices.iter().all(|choice| choice.end_passed);
        let mut events = Vec::new();
        for (place, choice) in self.choices.iter().enumerate() {
            // Words after the end of a choice still reach clients, and better than none.
            if choice.end_passed && !(none_open && place == 0) {
                continue;
            }
            let mut delta = if choice.begun { Map::new() } else { role() };
            edit::say(&mut delta, text, choice.open_line);
            events.push(chunk(&head, choice.number, Value::Object(delta), None));
            if !choice.end_passed {
                events.push(chunk(&head, choice.number, json!({}), Some("stop")));
            }
        }
        if let Some(usage) = self.facts.usage.filter(|_| !self.hide_usage && !self.usage_passed) {
            events.push(usage_chunk(&head, &usage));
        }
        events.push(done());
        events
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn role() -> Map<String, Value> {
    Map::from_iter([("role".to_owned(), "assistant".into())])
}

impl Guard {
    /// The event as the agent may see it, all calls in it being decided; `None` if nothing is left of it.
    fn pass(&mut self, waiting: Waiting) -> Option<Piece> {
        let Waiting { mut event, text, seen, usage, last: _ } = waiting;
        for call in seen.iter().flat_map(|seen| &seen.fragments) {
            self.give_index(*call);
        }
        for seen in &seen {
            if let (Some(choice), Some(open_line)) = (self.choices.get_mut(seen.choice), seen.open_line) {
                choice.open_line = open_line;
            }
        }
        let changed = |seen: &Seen| {
            let touched = seen.ends || !seen.fragments.is_empty();
            touched && self.choices.get(seen.choice).is_some_and(|choice| choice.changed)
        };
        if seen.iter().any(changed) {
            let mut body: Value = serde_json::from_str(&event.data).ok()?;
            let mut empty = true;
            for (place, seen) in seen.iter().enumerate() {
                let choice = body.get_mut("choices").and_then(|choices| choices.get_mut(place)?.as_object_mut())?;
                self.rewrite(seen, choice);
                empty &= self.says_nothing(seen, choice);
            }
            if empty && !usage {
                return None;
            }
            event.data = body.to_string();
        }
        self.usage_passed |= usage;
        for seen in &seen {
            if let Some(choice) = self.choices.get_mut(seen.choice) {
                choice.begun = true;
                choice.end_passed |= seen.ends;
            }
        }
        Some(if text.is_empty() { Piece::Event(event) } else { Piece::Text { event, text } })
    }

    /// Decides under which index the agent sees an allowed call, as its first fragment is about to pass: its own, or
    /// the next one free where calls before it were refused.
    fn give_index(&mut self, number: usize) {
        let allowed = |call: &Call| call.state == State::Allowed;
        let Some(slot) = self.ledger.get(number).filter(|slot| !slot.legacy) else { return };
        if self.calls.get(number).is_none_or(|call| !allowed(call) || call.index.is_some()) {
            return;
        }
        let Some(choice) = self.choices.iter_mut().find(|choice| choice.number == slot.choice) else { return };
        // Calls may begin in another order than that of their indices.
        let mut calls: Vec<(u64, usize)> = (0..)
            .zip(self.ledger.slots().iter().zip(&self.calls))
            .filter(|(_, (slot, call))| {
                slot.choice == choice.number && !slot.legacy && allowed(call) && call.index.is_none()
            })
            .map(|(number, (slot, _))| (slot.index.unwrap_or(u64::MAX), number))
            .collect();
        calls.sort_unstable();
        for (own, number) in calls {
            let index = if choice.changed { choice.next_index } else { own };
            choice.next_index = choice.next_index.max(index.saturating_add(1));
            if let Some(call) = self.calls.get_mut(number) {
                call.index = Some(index);
            }
        }
    }

    /// Takes refused calls out of an entry of `choices`, puts what is said instead of them in, and gives those that
    /// are left their indices.
    fn rewrite(&mut self, seen: &Seen, choice: &mut Map<String, Value>) {
        let Some(state) = self.choices.get_mut(seen.choice) else { return };
        if !state.changed {
            return;
        }
        let mut words = Vec::new();
        let calls = &mut self.calls;
        if let Some(Value::Object(delta)) = choice.get_mut("delta") {
            let mut numbers = seen.fragments.iter();
            edit::retain_calls(delta, |entry| {
                let Some(call) = numbers.next().and_then(|number| calls.get_mut(*number)) else { return false };
                words.extend(call.words.take());
                call.state == State::Allowed && {
                    call.renew(entry);
                    true
                }
            });
            for words in words {
                edit::say(delta, &words, state.open_line);
                state.open_line = !words.ends_with('\n');
            }
        }
        if seen.ends && state.calls > 0 && state.allowed == 0 {
            edit::end_without_calls(choice);
        }
    }

    /// Whether an entry of `choices` is of no use to the agent after what stood in it was taken out.
    fn says_nothing(&self, seen: &Seen, choice: &Map<String, Value>) -> bool {
        let begun = self.choices.get(seen.choice).is_some_and(|choice| choice.begun);
        let nothing = |(key, value): (&String, &Value)| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty() || (begun && key == "role"),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        let delta = choice.get("delta").and_then(Value::as_object);
        !seen.ends && delta.into_iter().flatten().all(nothing) && choice.get("logprobs").is_none_or(Value::is_null)
    }
}

impl Call {
    /// Writes a fragment so that every client takes it for the same call: with the index that was given, and with the
    /// id and the name once.
    fn renew(&mut self, entry: &mut Value) {
        let Value::Object(entry) = entry else { return };
        if let Some(index) = self.index {
            entry.insert("index".to_owned(), index.into());
        }
        once(entry, "id", &mut self.id_passed);
        for kind in ["function", "custom"] {
            if let Some(Value::Object(body)) = entry.get_mut(kind) {
                once(body, "name", &mut self.name_passed);
            }
        }
    }
}

fn once(object: &mut Map<String, Value>, key: &str, passed: &mut bool) {
    if object.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty()) && std::mem::replace(passed, true) {
        object.shift_remove(key);
    }
}
