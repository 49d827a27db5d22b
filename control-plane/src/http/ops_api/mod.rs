//! The API: what people, their tools and agentless plugins call.
