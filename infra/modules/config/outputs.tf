output "toml" {
  description = "The text of mayfly.toml."
  value       = local.toml
}

output "layer_arn" {
  description = "The layer version with mayfly.toml and what it names."
  value       = aws_lambda_layer_version.this.arn
}
