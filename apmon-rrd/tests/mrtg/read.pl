# Reads a configuration with MRTG's own reader, and prints what it understood.
#
# usage: perl read.pl CONFIGURATION
#
# APMonitor's mrtg-rrd.cgi.pl knows two keywords and one option more than MRTG, which refuses what it
# does not know. They are taught to its reader here; everything else has to be as MRTG has it.
use strict;
use warnings FATAL => 'all';
use MRTG_lib;

my $file = shift;
my (@targets, %global, %of_target, @parsed);

# What the extension knows, under a prefix as extensions of MRTG have one.
open my $in, '<', $file or die "$file: $!";
my $text = do { local $/; <$in> };
$text =~ s/^(Y2Legend|Percentile)\[/cgi*$1\[/mg;
$text =~ s/^(Options\[\S+\]: .*),dualaxis$/$1/mg;
open my $out, '>', "$file.taught" or die "$file.taught: $!";
print $out $text;
close $out or die;

my $any = [ sub { 1 }, sub { '' } ];
readcfg("$file.taught", \@targets, \%global, \%of_target, 'cgi', { 'cgi*y2legend[]' => $any, 'cgi*percentile[]' => $any });
cfgcheck(\@targets, \%global, \%of_target, \@parsed, { check => 1 });
for my $target (@targets) {
    for my $key (qw(targorig maxbytes1 maxbytes2 title pagetop legend1 legendo withpeak cgi*y2legend cgi*percentile)) {
        my $value = $of_target{$key}{$target};
        print "$target $key $value\n" if defined $value;
    }
}
