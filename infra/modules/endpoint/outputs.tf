output "url" {
  description = "The address, without a slash at its end."
  value       = trimsuffix(local.is_url ? aws_lambda_function_url.this[0].function_url : aws_apigatewayv2_api.this[0].api_endpoint, "/")

  # Nobody should be told of an address that does not answer yet.
  depends_on = [aws_lambda_permission.url, aws_lambda_permission.url_invoke, aws_lambda_permission.api, aws_apigatewayv2_stage.this, aws_apigatewayv2_route.this]
}
