//! HTTPS to an allowed host, by each way that programs know.

use serde_json::json;

use crate::world::World;

const BANK: &str = r#"["api.bank.test"]"#;

#[test]
fn a_program_that_knows_no_proxy_is_carried() {
    let Some(world) = World::new() else { return };
    let said = world.python(BANK, r#"say(https("api.bank.test", "api.bank.test"))"#);
    println!("{said:?}\n{:?}\n{:#?}", world.seen(), world.door());
}
