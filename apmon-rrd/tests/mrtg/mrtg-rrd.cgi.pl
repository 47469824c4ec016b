#!/usr/bin/perl
# A CGI program with the outside of APMonitor's mrtg-rrd.cgi.pl: where its list of configurations is,
# the form of its targets, its addresses and its pictures. The tests let it serve what apmon wrote.
use strict;
use warnings FATAL => 'all';
use RRDs;

our (%site_config, @config_files);
BEGIN {
    %site_config = (
        'Elsewhere' => '/nowhere/elsewhere.statefile.mrtg.cfg',
    );
    @config_files = values %site_config;
}

my %seconds = (day => 30 * 3600, week => 8 * 86400, month => 36 * 86400, year => 396 * 86400);
my %title = (day => 'Daily', week => 'Weekly', month => 'Monthly', year => 'Yearly');

sub refuse {
    print "Content-Type: text/plain\n\nError: $_[0]\n";
    exit;
}

# The site in front of the path is cut off if it is in the list.
my $path = $ENV{PATH_INFO};
if ($path =~ m{^/([^/]+)(/.*)$} && exists $site_config{$1}) {
    @config_files = ($site_config{$1});
    $path = $2;
}

my (%global, %targets, %default);
for my $file (@config_files) {
    next unless open my $in, '<', $file;
    my $last;
    while (my $line = <$in>) {
        chomp $line;
        next if $line =~ /^\s*(#|$)/;
        $line =~ s/\s+/ /g;
        if ($line =~ /^ (.*)$/) {
            refuse("no line to continue: $line") unless $last;
            $$last .= " $1";
        } elsif ($line =~ /^(\w+)\[(\S+)\]: ?(.*?) ?$/) {
            my ($key, $target, $value) = (lc $1, $2, $3);
            if ($target eq '_') {
                $default{$key} = $value;
                $last = \$default{$key};
                next;
            }
            $targets{$target} ||= {%default};
            $targets{$target}{$key} = $value;
            $last = \$targets{$target}{$key};
        } elsif ($line =~ /^(\w+): ?(.*?) ?$/) {
            $global{lc $1} = $2;
            $last = \$global{lc $1};
        } else {
            refuse("not understood: $line");
        }
    }
}

$path =~ m{^/([^/]+?)(?:-(day|week|month|year)\.png|\.html)$} or refuse("no such page: $path");
my ($name, $period) = ($1, $2);
my $target = $targets{$name} or refuse("Undefined statistics: $name");
$target->{target} =~ /^(.*):([^:]*)$/ or refuse("no target: $target->{target}");
my ($sources, $file) = ($1, $2);
my ($first, $second) = $sources =~ /^(.*)&(.*)$/ or refuse("no two sources: $sources");
my $factor = grep({ $_ eq 'bits' } split /,/, $target->{options}) ? 8 : 1;
my $now = $ENV{TEST_NOW} or die 'TEST_NOW is not set';

if ($period) {
    my $picture = "$global{workdir}/$name-$period.png";
    RRDs::graph(
        $picture, '--start', $now - $seconds{$period}, '--end', $now, '--width', 400, '--height', 100,
        '--no-legend', '--lower-limit', 0, '--vertical-label', $target->{ylegend},
        ($target->{options} =~ /dualaxis/
            ? ('--right-axis', $target->{maxbytes2} / $target->{maxbytes1} . ':0',
               '--right-axis-label', $target->{y2legend} || ' ')
            : ()),
        "DEF:a=$file:$first:AVERAGE", "DEF:b=$file:$second:AVERAGE",
        "CDEF:x=a,$factor,*", "CDEF:y=b,$factor,*", 'AREA:x#00cc00', 'LINE2:y#0000ff',
    );
    if (my $error = RRDs::error) { refuse($error) }
    print "Content-Type: image/png\n\n";
    open my $in, '<:raw', $picture or die "$picture: $!";
    binmode STDOUT;
    local $/;
    print <$in>;
    exit;
}

print "Content-Type: text/html; charset=ISO-8859-1\n\n<title>$target->{title}</title>\n$target->{pagetop}\n";
for my $period (qw(day week month year)) {
    my ($from, $step, $names, $rows) =
        RRDs::fetch($file, 'AVERAGE', '--start', $now - $seconds{$period}, '--end', $now);
    if (my $error = RRDs::error) { refuse($error) }
    my %column = map { $names->[$_] => $_ } 0 .. $#$names;
    print "<h2>$title{$period}</h2><img src=\"$name-$period.png\">\n";
    for my $line ([$target->{legendi}, $first], [$target->{legendo}, $second]) {
        my @values = grep { defined } map { $_->[$column{$line->[1]}] } @$rows;
        my ($max) = sort { $b <=> $a } @values;
        printf "%s max %.1f %s\n", $line->[0], ($max // 0) * $factor, $target->{shortlegend};
    }
}
