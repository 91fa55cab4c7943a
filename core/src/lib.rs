pub mod money;
pub mod id;
pub mod time;
