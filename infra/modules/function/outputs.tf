output "function_name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.this.arn
}

output "invoke_arn" {
  description = "The ARN that API Gateway calls."
  value       = aws_lambda_function.this.invoke_arn
}

output "role_name" {
  description = "The role's name."
  value       = aws_iam_role.this.name
}

output "log_group_name" {
  description = "The log group's name."
  value       = aws_cloudwatch_log_group.this.name
}
