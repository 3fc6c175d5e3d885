//! The model door, as an agent finds it, in front of mocks of providers on loopback.
#[cfg(test)]
mod agent;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cells;
#[cfg(test)]
mod fallback;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod own;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod screen;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod textual;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod world;
