output "webhook_url" {
  description = "Put this into the GitHub App's webhook URL."
  value       = module.mayfly.webhook_url
}

output "mayfly_toml" {
  description = "For `mayfly drain`: terraform output -raw mayfly_toml > mayfly.toml"
  value       = module.mayfly.mayfly_toml
}
