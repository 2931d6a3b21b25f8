# Takes Tocsin's webhooks and checks who sent them. Start it with the secret that Tocsin showed once:
#
#     TOCSIN_WEBHOOK_SECRET=whsec_… PORT=9000 ruby receiver.rb
#
# Ruby's own library has no HTTP server, so this one speaks just enough of it. With Rack, `verified?` is the same, and the
# raw body is `request.body.read`.

require "openssl"
require "socket"

KEY = ENV.fetch("TOCSIN_WEBHOOK_SECRET").delete_prefix("whsec_").unpack1("m")
abort "TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more" if KEY.bytesize < 24
TOLERANCE_S = 300
MOST_BYTES = 1_000_000
MOST_LINES = 200

# Whether the body, as it came, was signed with our secret within the last five minutes.
def verified?(id, at, signatures, body)
  return false unless at.match?(/\A[0-9]{1,12}\z/) && (Time.now.to_i - at.to_i).abs <= TOLERANCE_S

  digest = OpenSSL::HMAC.digest("SHA256", KEY, "#{id}.#{at}.".b + body)
  right = "v1," + [digest].pack("m0")
  # Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
  signatures.split(" ").any? { |one| one.bytesize == right.bytesize && OpenSSL.fixed_length_secure_compare(one, right) }
end

def receive(client)
  client.gets("\n", 8192) # POST / HTTP/1.1
  headers = Hash.new("")
  MOST_LINES.times do
    name, value = client.gets("\n", 8192).to_s.b.strip.split(":", 2)
    break unless value
    headers[name.downcase] = value.strip
  end
  body = client.read([headers["content-length"].to_i, MOST_BYTES].min).to_s
  id, at, signatures = %w[id timestamp signature].map { |name| headers["webhook-#{name}"] }
  known = verified?(id, at, signatures, body)
  status = known ? "204 No Content" : "401 Unauthorized"
  client.write("HTTP/1.1 #{status}\r\n#{"Content-Length: 0\r\n" unless known}Connection: close\r\n\r\n")
  # The id is the same in every attempt: what was done for it need not be done again.
  puts "verified #{id.inspect} #{body.bytesize} bytes" if known
rescue SystemCallError, IOError, ArgumentError => error
  warn error.message.inspect
ensure
  client.close
end

$stdout.sync = true
server = TCPServer.new("127.0.0.1", Integer(ENV.fetch("PORT", "9000")))
loop { Thread.new(server.accept) { |client| receive(client) } }
